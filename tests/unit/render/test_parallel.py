"""Parallel coordinates in the page and in files: a line a trial, told in full, strong where it scored."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from synthetic_tuning import tuned_view

from harness import registry
from harness.evidence.documents.comparison import build_report
from harness.evidence.documents.paper import build_paper
from harness.render import latex
from harness.render._parallel import strength
from harness.render._svg import svg
from harness.tables import Figure, Panel, Polyline, Report, Section, Series, Upright

AXES = (Upright("beta", ((0.0, "0.01"), (1.0, "0.5"))), Upright("<score>", ((0.0, "60%"), (1.0, "83%"))))
LINES = (
    Polyline('a 0: beta "0.1"', (0.2, 0.5)),
    Polyline("a 1", (0.7, 1.0), "chosen"),
    Polyline("a 2", (0.9, None), "no score"),
)
PANEL = Panel("a", "", "", (), kind="parallel", uprights=AXES, polylines=LINES)


def test_each_line_tells_what_it_is_and_the_legend_has_the_kinds_that_there_are() -> None:
    text = svg(Figure("f", "F", (PANEL,)))
    assert text.count('class="point"') == 3
    assert 'data-tip="a 0: beta &quot;0.1&quot;"' in text
    assert "&lt;score&gt;" in text
    legend = text.partition('class="legend"')[2]
    assert re.findall(r"</svg>([a-z ]+)</li>", legend) == ["finished", "no score", "chosen"]


def test_a_line_without_a_score_ends_at_its_last_setting() -> None:
    text = svg(Figure("f", "F", (PANEL,)))
    (last,) = re.findall(r'aria-label="a 2".*?d="(M[^"]*)"', text)
    assert "L" not in last
    (whole,) = re.findall(r'aria-label="a 1".*?d="(M[^"]*)"', text)
    assert whole.count("L") == 1


def test_lines_are_as_strong_as_their_score_is_high() -> None:
    assert [strength(one) for one in LINES] == pytest.approx([0.625, 1.0, 0.25])


def test_files_are_drawn_of_it_and_equal_for_equal_data(tmp_path: Path) -> None:
    report = Report("t", (), (Section("s", (), (), (Figure("f", "F", (PANEL, PANEL)),)),))
    plots = registry.load("formats", "plots")
    first, again = (
        [path.read_bytes() for path in plots.render(report, tmp_path / name) if path.suffix == ".svg"]
        for name in ("a", "b")
    )
    assert first == again
    drawn = first[0].decode()
    for words in ("beta", "&lt;score&gt;", "0.01", "83%", "no score", "chosen"):
        assert words in drawn


def test_counts_are_marked_at_whole_numbers() -> None:
    line = Series("a", (1.0, 2.0, 3.0, 4.0, 5.0, 10.0), (0.1, 0.2, 0.3, 0.4, 0.5, 0.6))
    marks = {
        kind: re.findall(r'text-anchor="middle">([\d.]+)</text>', svg(Figure("f", "F", (panel,))))
        for kind in ("count", "number")
        for panel in [Panel("p", "trials", "y", (line,), x_kind=kind)]
    }
    assert marks == {"count": ["5", "10"], "number": ["2.5", "5", "7.5", "10"]}


def test_a_paper_may_have_the_figures_of_a_search(tmp_path: Path) -> None:
    report = build_report(tuned_view())
    assert [one.name for one in report.figures() if one.name.startswith("tuning")] == [
        "tuning_best_of",
        "tuning_settings",
        "tuning_importance",
    ]
    paper = build_paper([tuned_view()], figures=["tuning_settings"])
    latex.render_paper(paper, "plain", tmp_path)
    assert (tmp_path / "figures" / "tuning_settings.pdf").stat().st_size > 1_000
