"""What benchmarks say of their judges and of what they leave out, as the report's tables show it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from synthetic import make_view

from harness.benchmarks import lm_eval
from harness.benchmarks._duels import duel
from harness.evidence.documents.comparison import build_report
from harness.evidence.sections.judging import judges_table
from harness.evidence.sections.left_out import left_out_table
from harness.evidence.view import ComparisonView
from harness.generate import Answer
from harness.judges import Duel
from harness.judges.jury import Jury
from harness.records import JudgeFacts, Score, StageUse
from harness.tables import Cell, Table


def with_scores(scores: dict[str, list[Score]]) -> ComparisonView:
    """The made comparison with a judge stage that wrote `scores`."""
    view = make_view()
    record = view.record
    judge = record.results["prep"].model_copy(
        update={"digest": "judge", "kind": "judge", "name": "judge", "facts": JudgeFacts(cells=scores)}
    )
    changed = {
        "plan": record.plan.model_copy(update={"judge": "judge"}),
        "results": {**record.results, "judge": judge},
        "uses": {**record.uses, "judge": StageUse(digest="judge")},
    }
    return ComparisonView(record.model_copy(update=changed), view.items, view.series)


def row_of(table: Table) -> dict[str, Cell]:
    (row,) = table.rows
    return dict(zip(table.columns, row, strict=True))


class Juror:
    """Takes the first place of some prompts, and of others cannot be read where our answer stands first."""

    def __init__(self, name: str, unread: tuple[str, ...]) -> None:
        self.name, self._unread = name, unread

    def prefer_all(self, duels: Sequence[Duel], progress: Any = None) -> list[float | None]:
        return [None if p in self._unread and a == "own" else float(p == "q0") for p, a, _ in duels]


def judged(judge: Any, out: Path) -> ComparisonView:
    pairs = [
        (
            Answer(f"i{n}", "alpaca_eval", f"q{n}", "own", 1, "stop"),
            Answer(f"i{n}", "alpaca_eval", f"q{n}", "his", 1, "stop"),
        )
        for n in range(4)
    ]
    scores = duel(judge, pairs, out, cell="orpo@0", rival="sft@0", metric="win_rate")
    return with_scores({"orpo@0": scores})


def test_half_read_pairs_and_a_jurys_agreement_stand_in_the_table(tmp_path: Path) -> None:
    table = judges_table(judged(Jury([Juror("a", ("q1",)), Juror("b", ("q1",))]), tmp_path))
    assert table is not None
    row = row_of(table)
    assert (row["half-read pairs"].value, row["unreadable"].value, row["judgments"].value) == (0, 2, 8)
    assert row["alpha"].value is None, "every pair is a tie to both, so nothing is there to agree on"
    assert row["judge"].value == "jury of a, b"


def test_a_single_judges_half_read_pairs_are_counted(tmp_path: Path) -> None:
    table = judges_table(judged(Juror("a", ("q1", "q2")), tmp_path))
    assert table is not None
    row = row_of(table)
    assert (row["half-read pairs"].value, row["unreadable"].value) == (2, 2)
    assert row["first slot"].value == pytest.approx(0.5)
    assert row["alpha"].reason == "one judge"


def test_an_older_records_row_says_that_half_read_pairs_were_not_counted() -> None:
    settings = {"judge": "j", "orders": "both, averaged", "judgments": 4, "parse_failures": 1}
    score = Score(benchmark="alpaca_eval", metric="win_rate", estimate=0.5, n=2, settings=settings)
    table = judges_table(with_scores({"orpo@0": [score]}))
    assert table is not None
    assert row_of(table)["half-read pairs"].reason == "one order, or not recorded"


def test_metrics_without_items_are_shown_with_their_figure_and_reason(tmp_path: Path) -> None:
    sample = {
        "doc_id": 0,
        "doc_hash": "d",
        "prompt_hash": "p",
        "target_hash": "t",
        "metrics": ["acc", "perplexity"],
        "acc": 1.0,
        "perplexity": -2.0,
    }
    figures = {"acc,none": 1.0, "perplexity,none": 7.4}
    found = {"samples": {"wiki": [sample]}, "results": {"wiki": figures}}
    view = with_scores({"orpo@0": lm_eval.scores_of_results(found, tmp_path, {})})
    table = left_out_table(view)
    assert table is not None
    row = row_of(table)
    assert (row["metric"].value, row["the benchmark's figure"].value) == ("lm_eval/wiki.perplexity", 7.4)
    assert "lm-eval's figure is not the mean of its values" in str(row["why"].value)
    assert "left_out" in {one.name for one in build_report(view).tables()}
    assert left_out_table(make_view()) is None
