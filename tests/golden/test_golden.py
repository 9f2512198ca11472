"""The report of a made comparison, byte for byte; `make golden` rewrites it for review."""

from __future__ import annotations

import os
from pathlib import Path

from synthetic import make_view
from synthetic_tuning import tuned_view

from harness.evidence.documents.comparison import build_report
from harness.render import latex, markdown
from harness.tables import Report

HERE = Path(__file__).parent


def check(name: str, text: str) -> None:
    file = HERE / name
    if os.environ.get("UPDATE_GOLDEN"):
        file.write_text(text, encoding="utf-8")
    assert text == file.read_text(encoding="utf-8")


def test_markdown_report(tmp_path: Path) -> None:
    markdown.render(build_report(make_view()), tmp_path)
    check("report.md", (tmp_path / "report.md").read_text(encoding="utf-8"))


def test_markdown_of_a_search(tmp_path: Path) -> None:
    """Its section alone: the rest is that of a comparison without one."""
    report = build_report(tuned_view())
    sections = tuple(one for one in report.sections if one.part == "Tuning")
    markdown.render(Report(report.title, (), sections), tmp_path)
    check("tuning.md", (tmp_path / "report.md").read_text(encoding="utf-8"))


def test_latex_main_table(tmp_path: Path) -> None:
    latex.render(build_report(make_view()), tmp_path)
    check("main.tex", (tmp_path / "tables" / "main.tex").read_text(encoding="utf-8"))
