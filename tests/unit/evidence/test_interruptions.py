"""Useful and lost work are told apart where a report speaks of times."""

from __future__ import annotations

from dataclasses import replace

from synthetic import make_view, measured

from harness.evidence.documents.comparison import build_report
from harness.evidence.interruptions import interrupted
from harness.evidence.view import ComparisonView


def continued() -> ComparisonView:
    """The view of a run of which ORPO's first training was killed twice."""
    view = make_view()
    stage = view.record.results["orpo0"]
    more = [measured("interruptions", 2, "1"), measured("lost_seconds", 90.0, "s")]
    results = {**view.record.results, "orpo0": stage.model_copy(update={"ledger": [*stage.ledger, *more]})}
    return replace(view, record=view.record.model_copy(update={"results": results}))


def test_the_first_page_says_what_was_lost() -> None:
    said = (
        "1 of 6 training stages were interrupted and went on (orpo/orpo@0): times are of useful work, and "
        "90.0 s of lost work are in none of them; what else the machine did was watched in the last attempt "
        "alone."
    )
    assert interrupted([continued()]) == [said]
    report = build_report(continued())
    assert report.first is not None
    assert said in report.first.warnings


def test_an_undisturbed_run_says_nothing() -> None:
    assert interrupted([make_view()]) == []
