"""Ratios, the reference's cost, predictions, quality against cost, claims: by figures known beforehand."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from typing import Any

import pytest
from synthetic import FLOPS, SECONDS, make_view

from harness.errors import UserError
from harness.evidence.contrasts import HOST_MEMORY, Contrast, all_contrasts
from harness.evidence.costs import arm_cost
from harness.evidence.curves import AXES, curves
from harness.evidence.findings import findings
from harness.evidence.primary import primary
from harness.evidence.sections import frontier
from harness.evidence.sections.attribution import attribution_table
from harness.evidence.sections.claims import claims_table
from harness.evidence.sections.flops import flops_table
from harness.evidence.sections.frontier import crossings_table, equal_cost_table, pareto_table
from harness.evidence.sections.ledger import ledger_table
from harness.evidence.sections.limits import limits
from harness.evidence.sections.predictions import predictions_table
from harness.evidence.sections.quality import contrasts_tables
from harness.evidence.sections.ratios import Part, equal_lengths, ratios_table
from harness.evidence.sections.sharing import prices_table, sharing_table
from harness.evidence.sections.throughput import step_seconds, throughput_table
from harness.evidence.standings import standing_of
from harness.evidence.statistics.curve import Curve, crossings
from harness.evidence.statistics.estimate import Estimate
from harness.evidence.statistics.verdict import Outcome, Verdict
from harness.evidence.view import ComparisonView
from harness.pipeline.claims import Claim, load_claims
from harness.quantities import COSTS
from harness.records import Measurement, TrainFacts
from harness.tables import Table


def column(table: Table | None, name: str) -> list[Any]:
    assert table is not None
    index = table.columns.index(name)
    return [row[index].value for row in table.rows]


def with_entry(view: ComparisonView, digest: str, entry: Measurement) -> ComparisonView:
    """The view with one ledger entry of a stage replaced."""
    stage = view.record.results[digest]
    ledger = [entry if m.quantity == entry.quantity else m for m in stage.ledger]
    results = {**view.record.results, digest: stage.model_copy(update={"ledger": ledger})}
    return replace(view, record=view.record.model_copy(update={"results": results}))


def test_checkpoints_have_a_column_where_some_stage_wrote_them() -> None:
    view = make_view()
    digest = view.trained_stages[0].digest
    stage = view.record.results[digest]
    entry = Measurement(quantity="checkpoint_seconds", value=3, unit="s", scope="stage", source="clock")
    results = {**view.record.results, digest: stage.model_copy(update={"ledger": [*stage.ledger, entry]})}
    saved = replace(view, record=view.record.model_copy(update={"results": results}))
    assert "checkpoints" not in ledger_table(view).columns
    assert column(ledger_table(saved), "checkpoints")[:2] == [3, None]
    assert "in-training evaluation and checkpoints are not part of it" in ledger_table(saved).notes[0]


def charged(view: ComparisonView, maker: str) -> ComparisonView:
    """The view with the stage `pre1` charged for a pass that the stage `maker` made."""
    stage = view.record.results["pre1"]
    reference = stage.facts_as(TrainFacts).reference
    assert reference is not None
    facts = stage.facts.model_copy(update={"reference": reference.model_copy(update={"scored_in": maker})})
    entry = Measurement(quantity="amortised_seconds", value=3, unit="s", scope="stage", source="clock")
    update = {"facts": facts, "ledger": [*stage.ledger, entry]}
    results = {**view.record.results, "pre1": stage.model_copy(update=update)}
    return replace(view, record=view.record.model_copy(update={"results": results}))


def test_an_arm_that_read_its_references_log_probs_is_as_dear_as_one_that_scored_them() -> None:
    view = make_view(full=True)
    assert "time spent here" not in ledger_table(view).columns
    table = ledger_table(charged(view, "pre0"))
    stages = column(table, "stage")
    at = stages.index("sft_dpo_precomputed/pre@1")
    assert column(table, "reference")[at] == pytest.approx(4.4)
    assert column(table, "training time") == column(ledger_table(view), "training time")
    spent = column(table, "time spent here")
    assert spent[at] == 3
    assert spent[:at] + spent[at + 1 :] == [
        value for place, value in enumerate(column(table, "training time")) if place != at
    ]
    assert column(table, "origin")[at] == "this run; reference scored in sft_dpo_precomputed/pre@0"
    assert "no arm is cheaper for coming second" in table.notes[1]
    elsewhere = column(ledger_table(charged(view, "of-another-run")), "origin")
    assert elsewhere[at] == "this run; reference scored in of-another-run"
    for quantity in COSTS:
        assert arm_cost(charged(view, "pre0"), "sft_dpo_precomputed", quantity) == arm_cost(
            view, "sft_dpo_precomputed", quantity
        )


def tuned(view: ComparisonView, tuning: str) -> ComparisonView:
    """The view with every training stage tuned in this way."""
    results = {
        digest: stage.model_copy(update={"facts": stage.facts.model_copy(update={"tuning": tuning})})
        if isinstance(stage.facts, TrainFacts)
        else stage
        for digest, stage in view.record.results.items()
    }
    return replace(view, record=view.record.model_copy(update={"results": results}))


@pytest.mark.parametrize(
    ("first", "tuning", "ratio"),
    [
        (0, "full", Fraction(12, 22)),
        (0, "lora", Fraction(8, 16)),
        (1, "full", Fraction(12, 16)),
        (1, "lora", Fraction(8, 12)),
    ],
)
def test_ratios_at_equal_lengths(first: int, tuning: str, ratio: Fraction) -> None:
    view = tuned(make_view(), tuning)
    assert equal_lengths(view, Part("orpo"), Part("sft_dpo", first)) == ratio


def test_ratios_stand_for_every_arm_that_learns_from_pairs() -> None:
    view = make_view(full=True)
    table = ratios_table(view, primary(view))
    assert column(table, "ratio") == [
        "orpo / (sft + dpo of sft_dpo)",
        "orpo / (dpo of sft_dpo)",
        "orpo / (sft + dpo of sft_dpo_precomputed)",
        "orpo / (dpo of sft_dpo_precomputed)",
    ]
    assert column(table, "FLOPs")[:2] == pytest.approx([2 / 3.67, 2 / 2.67])
    assert column(table, "body FLOPs by formula")[:2] == pytest.approx([12 / 22, 12 / 16])
    assert column(table, "body FLOPs at equal lengths and epochs")[:2] == pytest.approx([6 / 11, 0.75])


def test_the_flops_table_counts_sequences() -> None:
    table = flops_table(make_view(full=True))
    assert column(table, "sequences forwarded per pair") == [1, 4, 2, 2]
    assert column(table, "with gradient") == [1, 2, 2, 2]
    assert column(table, "once, before training") == [0, 0, 0, 2]
    assert column(table, "reference pass before training") == ["none", "within the steps", "none", 4.0]


def test_the_difference_is_split_into_parts_that_add_up() -> None:
    view = make_view(full=True)
    table = attribution_table(view, primary(view))
    for row in table.rows if table else ():
        _, both, orpo, whole, stage, reference, rest = (cell.value for cell in row)
        if whole is not None:
            assert whole == pytest.approx(both - orpo)
            assert stage + reference + rest == pytest.approx(whole)
    assert column(table, "of it: reference")[0] == pytest.approx(1.05 * (30 - (29 - 4)))
    assert column(table, "of it: implementation")[2] == pytest.approx(2.67e12 - 0.67e12 - 2e12, abs=1)
    assert attribution_table(make_view(), primary(make_view())) is None


def test_sharing_one_sft() -> None:
    view = make_view(full=True)
    table = sharing_table(view, primary(view))
    assert column(table, "SFT split over")[0] == "sft_dpo, sft_dpo_precomputed"
    alone, split, free = (column(table, name)[0] for name in ("alone", "SFT split", "SFT at no cost"))
    sft = 1.05 * SECONDS["sft"]
    assert (alone - split, alone - free) == (pytest.approx(sft / 2), pytest.approx(sft))


def test_money_needs_the_users_factors() -> None:
    assert prices_table(make_view()) is None
    table = prices_table(make_view(full=True))
    assert table is not None
    assert table.columns[1] == "money (EUR)"
    seconds = 1.05 * (SECONDS["sft"] + SECONDS["dpo"])
    assert column(table, "money (EUR)")[1] == pytest.approx(3.6 * seconds / 3600)
    assert column(table, "CO2 (g)") == [None] * 4


def test_predictions_stand_beside_what_was_measured() -> None:
    table = predictions_table(make_view(full=True))
    rows = [[cell.value for cell in row] for row in table.rows][:3]
    assert [row[1] for row in rows] == ["FLOPs", "host memory above imports", "training time"]
    assert [row[4] for row in rows] == pytest.approx([1.0, 2.0, 1.0])
    assert [row[6] for row in rows] == ["within 1%", "outside 20%", "within 15%"]
    assert predictions_table(make_view()).rows == ()


def test_a_stage_that_measured_nothing_is_not_compared() -> None:
    view = make_view(full=True)
    absent = Measurement(quantity="flops", value=None, unit="FLOP", scope="stage", source="x", reason="lost")
    for digest in ("dpo0", "dpo1"):
        view = with_entry(view, digest, absent)
    rows = {(r[0].value, r[1].value): r[6].value for r in predictions_table(view).rows}
    assert rows["dpo of sft_dpo", "FLOPs"] == "not compared"


def test_a_curve_adds_up_stages_and_is_linear_between_probes() -> None:
    found = curves(make_view(), "sft_dpo", AXES[0])[0]
    assert found.total == FLOPS["sft"] + FLOPS["dpo"]
    assert found.cost[2:4] == (FLOPS["sft"], FLOPS["sft"])
    assert found.at(0.25 * FLOPS["sft"]) == pytest.approx(0.525)
    assert found.at(1.01 * found.total) is None
    assert found.within(99 * found.total) == pytest.approx(0.75)
    assert curves(make_view(), "orpo", AXES[2]) == []


def test_crossings_of_mean_curves() -> None:
    a = [Curve(0, (0.0, 1.0, 2.0, 3.0), (0.5, 0.5, 0.6, 0.9), 3.0)]
    b = [Curve(0, (0.0, 1.0, 2.0, 3.0), (0.5, 0.6, 0.7, 0.8), 3.0)]
    assert crossings(a, b) == [(pytest.approx(2.5), True)]
    assert crossings(b, a) == [(pytest.approx(2.5), False)]
    assert crossings(a, a) == []
    touching = [Curve(0, (0.0, 1.0, 2.0, 3.0), (0.5, 0.6, 0.6, 0.95), 3.0)]
    assert crossings(touching, a) == []


def test_at_equal_cost_a_cheaper_arm_counts_as_it_ended() -> None:
    table = equal_cost_table(make_view(), primary(make_view()))
    rows = {row[0].value: row for row in table.rows}
    budget = rows["FLOPs of sft_dpo"]
    assert [cell.value for cell in budget[1:5]] == pytest.approx([3.67e12, 0.6, 0.75, 0.8])
    assert rows["FLOPs of sft"][3].value == pytest.approx(0.6)
    assert not any("joules" in name for name in rows)


def test_verdicts_at_equal_cost_say_that_nothing_adjusts_them() -> None:
    asked = {"quantity": "preference.accuracy", "a": "orpo", "b": "sft_dpo", "margin": None}
    view = make_view(questions=[asked])
    said = "Each verdict compares orpo with sft_dpo in one test alone"
    assert any(said in note and "exploratory" in note for note in equal_cost_table(view, primary(view)).notes)
    alone = equal_cost_table(view, None)
    assert not any("verdict" in note.lower() for note in alone.notes)


def test_crossings_are_named_with_who_leads() -> None:
    rows = [[c.value for c in row] for row in crossings_table(make_view()).rows]
    assert ["FLOPs", "sft", "orpo", rows[1][3], "orpo"] == rows[1]
    assert 1e12 < rows[1][3] < 2e12


def of(quantity: str, a: str, b: str, outcome: str) -> Contrast:
    """A contrast of which only the outcome is read."""
    kind = "ratio" if quantity.startswith("cost.") else "difference"
    return Contrast(quantity, a, b, kind, Estimate.absent(""), Verdict.plain(Outcome(outcome)), ())


SCORE, TIME = "preference.accuracy", "cost.wall_seconds"


@pytest.mark.parametrize(
    ("score", "time", "front"),
    [
        ("better", "better", ["on the front", "dominated by orpo", "on the front"]),
        ("not separable", "better", ["on the front", "not separable from orpo", "on the front"]),
        (
            "not separable",
            "not separable",
            ["on the front", "not separable from orpo", "not separable from sft_dpo"],
        ),
        ("worse", "better", ["on the front", "on the front", "on the front"]),
        ("identical", "better", ["on the front", "dominated by orpo", "on the front"]),
        (
            "identical",
            "not separable",
            ["on the front", "not separable from orpo", "not separable from sft_dpo"],
        ),
    ],
)
def test_only_separable_differences_dominate(score: str, time: str, front: list[str]) -> None:
    """Orpo against sft_dpo as given; sft is cheaper and worse than both."""
    contrasts = [
        *(of(SCORE, arm, "sft", "better") for arm in ("sft_dpo", "orpo")),
        *(of(TIME, arm, "sft", "worse") for arm in ("sft_dpo", "orpo")),
        of(SCORE, "orpo", "sft_dpo", score),
        of(TIME, "orpo", "sft_dpo", time),
    ]
    table = pareto_table(make_view(), contrasts, SCORE)
    assert column(table, "training time") == front


def test_the_pareto_front_of_a_run_on_a_cpu() -> None:
    """Times are equal at both seeds and so not separable; FLOPs are counted; host memory is no cost."""
    view = make_view()
    table = pareto_table(view, all_contrasts(view), "preference.accuracy")
    assert column(table, "energy") == [None, None, None]
    assert column(table, "peak memory") == [None, None, None]
    assert {row[table.columns.index("peak memory")].reason for row in table.rows} == {HOST_MEMORY}
    assert column(table, "FLOPs")[1] == "dominated by orpo"
    assert "not separable" in str(column(table, "training time")[1])


def test_claims_are_judged() -> None:
    view = make_view(full=True)
    verdicts = {claim.id: standing_of(view, claim).text for claim in load_claims()}
    assert verdicts["no_reference_model"] == "supported"
    assert verdicts["half_the_forward_passes"] == "supported"
    assert verdicts["one_model_in_memory"] == "supported"
    assert verdicts["half_the_memory"] == "not measured"
    assert verdicts["relative_cost"] == "not separable: no spread to judge it by"
    wrong = Claim(
        id="x", statement="s", source="s", quantity="flops", a="orpo", b="sft_dpo", expected=[0.1, 0.2]
    )
    assert standing_of(view, wrong).text == "contradicted"
    gone = wrong.model_copy(update={"b": "nobody"})
    assert standing_of(view, gone).estimate.reason == "nobody is not in this comparison"
    assert claims_table(view, []) is None


def test_one_time_alone_decides_no_claim() -> None:
    claim = next(c for c in load_claims() if c.id == "relative_cost")
    assert standing_of(make_view(seeds=(0,)), claim).text == "not separable: one seed has no interval"


def test_a_broken_claim_file_is_one_message(tmp_path: Any) -> None:
    (tmp_path / "a.yaml").write_text("claims:\n  - id: x\n    statment: y\n")
    with pytest.raises(UserError, match="statment"):
        load_claims(tmp_path)
    assert load_claims(tmp_path / "none") == []


def test_steps_are_timed_between_rows_whatever_stands_between() -> None:
    rows = [(0, "probe", 1.0), (1, "loss", 3.0), (2, "probe", 4.0), (2, "loss", 4.1), (3, "loss", 5.0)]
    series = [{"step": s, "metrics": {kind: 0.1, "elapsed_seconds": t}} for s, kind, t in rows]
    assert step_seconds(series) == pytest.approx([2.0, 1.0, 0.9])
    assert step_seconds([{"step": 1, "metrics": {"loss": 1.0}}]) == []


def test_utilisation_is_a_share_of_the_rehearsals_peak() -> None:
    table = throughput_table(make_view(full=True))
    assert column(table, "MFU")[0] == pytest.approx(0.8 * FLOPS["sft"] / SECONDS["sft"] / 1e12)
    assert column(table, "HFU")[0] == pytest.approx(FLOPS["sft"] / SECONDS["sft"] / 1e12)
    assert column(throughput_table(make_view()), "MFU")[0] is None


def test_what_disturbed_a_stage_stands_in_the_limits() -> None:
    view = make_view()
    assert not any("disturbed" in line for line in limits(view))
    stage = view.record.results["dpo0"]
    loud = stage.model_copy(update={"notes": ["other processes used 40.0% of the CPU time"]})
    results = {**view.record.results, "dpo0": loud}
    view = replace(view, record=view.record.model_copy(update={"results": results}))
    assert any("disturbed" in line and "40.0%" in line for line in limits(view))
    assert "other processes used 40.0% of the CPU time" in column(
        throughput_table(view), "spoils time and energy"
    )


def interval(low: float | None, high: float | None) -> Estimate:
    return Estimate(0.1, low, high, 3, 0.5, "t")


@pytest.mark.parametrize(
    ("over_seeds", "over_both", "told"),
    [
        (interval(-0.2, 0.4), interval(0.0, 0.2), True),
        (interval(0.0, 0.2), interval(-0.2, 0.4), False),
        (interval(None, None), interval(0.0, 0.2), False),
        (interval(0.0, 0.2), None, False),
    ],
)
def test_a_narrower_interval_over_items_too_is_explained(
    over_seeds: Estimate, over_both: Estimate | None, told: bool
) -> None:
    verdict = Verdict.plain(Outcome.NOT_SEPARABLE)
    one = Contrast("preference.accuracy", "orpo", "sft_dpo", "difference", over_seeds, verdict, (), over_both)
    notes = " ".join(contrasts_tables(make_view(), [one])[0].notes)
    assert ("different targets" in notes) is told


def test_probes_of_three_pairs_say_nothing_of_quality_at_equal_cost() -> None:
    view = make_view()
    few = {
        digest: [{**row, "metrics": {**row["metrics"], "probe_pairs": 3}} for row in rows]
        for digest, rows in view.series.items()
    }
    section = frontier.section(findings(ComparisonView(view.record, view.items, few)))
    assert section is not None
    assert "the probes scored 3 held-out pairs" in section.paragraphs[0]
    assert "equal_cost" not in {table.name for table in section.tables}
    assert section.figures == ()
