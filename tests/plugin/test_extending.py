"""The examples of docs/extending.md, run as they stand there."""

from __future__ import annotations

import re
import sys
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import pytest
from synthetic import make_record

from harness import registry
from harness.benchmarks import CheckContext
from harness.evidence.documents.comparison import build_report
from harness.evidence.view import ComparisonView
from harness.generate import Answer

TEXT = (Path(__file__).parents[2] / "docs" / "extending.md").read_text()
GROUPS = {"exact_match": "benchmarks", "shorter": "judges", "plain": "formats"}


@pytest.fixture(autouse=True)
def examples(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each example as a module that an entry point names."""
    folder = tmp_path / "examples"
    folder.mkdir()
    for name, code in re.findall(r"```python file=(\w+)\.py\n(.*?)```", TEXT, flags=re.DOTALL):
        (folder / f"{name}_example.py").write_text(code)
    monkeypatch.syspath_prepend(str(folder))
    points = [EntryPoint(name, f"{name}_example", f"harness.{group}") for name, group in GROUPS.items()]
    monkeypatch.setattr(registry, "entry_points", lambda group: [p for p in points if p.group == group])
    for name in GROUPS:
        sys.modules.pop(f"{name}_example", None)


def test_they_are_listed_beside_the_shipped_ones() -> None:
    for name, group in GROUPS.items():
        assert name in registry.names(group)


def test_the_benchmark_scores_answers(prepared: Path, tmp_path: Path) -> None:
    module: Any = registry.load("benchmarks", "exact_match")
    config = module.Config(limit=3)
    module.check(config, CheckContext(prepared, "model", False))
    asked = module.prompts(config, prepared)
    texts = [asked[0].reference, "something else", f" {asked[2].reference} "]
    answers = [
        Answer(p.id, p.benchmark, "a prompt", str(text), 3, "stop", reference=p.reference)
        for p, text in zip(asked, texts, strict=True)
    ]
    (score,) = module.score_answers(config, answers, prepared, tmp_path)
    assert (score.metric, score.n) == ("exact", 3)
    assert score.estimate == pytest.approx(2 / 3)


def test_the_judge_prefers() -> None:
    module: Any = registry.load("judges", "shorter")
    judge = module.make(module.Config())
    assert judge.prefer_all([("p", "ab", "abc"), ("p", "abc", "ab"), ("p", "a", "b")]) == [1, 0, 0.5]


def test_the_format_writes_a_report(tmp_path: Path) -> None:
    module: Any = registry.load("formats", "plain")
    report = build_report(ComparisonView(make_record(), {}, {}))
    (path,) = module.render(report, tmp_path)
    text = path.read_text()
    assert text.startswith(report.title)
    assert all(table.title in text for table in report.tables())
