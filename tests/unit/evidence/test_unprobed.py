"""What a report says where held-out pairs were not scored during some or all of the training."""

from __future__ import annotations

from dataclasses import replace

from synthetic import make_view

from harness.evidence.curves import AXES, curves
from harness.evidence.documents.comparison import build_report
from harness.evidence.sections.dynamics import dynamics_table, probe_series
from harness.evidence.standings import standing_of
from harness.evidence.view import ComparisonView
from harness.pipeline.claims import Claim
from harness.quantities import LOGP_CHOSEN
from harness.records import ProbeFacts, TrainFacts

REASON = "start and end of 2 held-out pairs would cost over 5% of the stage"


def unprobed(*kinds: str) -> ComparisonView:
    """The made comparison, with nothing probed in stages whose digest starts with one of `kinds`."""
    view = make_view(seeds=(0, 1, 2))
    results = dict(view.record.results)
    series = dict(view.series)
    for digest, result in results.items():
        if result.kind == "train" and digest.startswith(kinds):
            facts = result.facts_as(TrainFacts)
            none = ProbeFacts(pairs=0, probes=0, reason=REASON)
            results[digest] = result.model_copy(update={"facts": facts.model_copy(update={"probes": none})})
            series[digest] = [
                {**row, "metrics": {k: v for k, v in row["metrics"].items() if not k.startswith("probe_")}}
                for row in series[digest]
            ]
    return replace(view, record=view.record.model_copy(update={"results": results}), series=series)


def test_nothing_probed_gives_the_reason_once() -> None:
    report = build_report(unprobed("sft", "dpo", "orpo"))
    dynamics = next(s for s in report.sections if s.title == "Training dynamics")
    assert dynamics.paragraphs == (f"Not measured: {REASON}.",)
    assert [f.name for f in report.figures()] == ["score_against_flops"]


def test_an_arm_that_was_not_probed_has_a_row_with_the_reason() -> None:
    view = unprobed("orpo")
    rows = {str(row[0].value): row for row in dynamics_table(view).rows}
    assert {cell.reason for cell in rows["orpo"][1:]} == {REASON}
    assert all(cell.value is None for cell in rows["orpo"][1:])
    assert all(cell.value is not None for cell in rows["sft_dpo"])
    assert build_report(view).sections


def test_a_later_stage_begins_where_an_unprobed_one_ended() -> None:
    """Both stages have 28 steps; DPO's own start is a point, since SFT's end is none."""
    whole, half = (probe_series(view, "sft_dpo", LOGP_CHOSEN) for view in (make_view(), unprobed("sft")))
    assert whole is not None
    assert half is not None
    assert whole.x == (0.0, 14.0, 28.0, 42.0, 56.0)
    assert half.x == (28.0, 42.0, 56.0)


def test_an_arm_whose_end_was_not_probed_has_no_curve() -> None:
    """Its last known quality is that of an earlier stage, and would be taken for what it ends in."""
    assert curves(unprobed("sft"), "sft_dpo", AXES[0])
    assert not curves(unprobed("dpo"), "sft_dpo", AXES[0])


def test_a_rise_needs_its_start_and_its_end() -> None:
    claim = Claim.model_validate(
        {"id": "x", "statement": "s", "source": "s", "a": "sft_dpo", "quantity": "logp_chosen_rise"}
        | {"expected": [0, None]}
    )
    assert standing_of(make_view(seeds=(0, 1, 2)), claim).estimate.value is not None
    found = standing_of(unprobed("sft"), claim).estimate
    assert (found.value, found.reason) == (None, "no held-out probes during training")
