"""Several runs in one table, what may not be mixed, and what two runs have differently."""

from __future__ import annotations

import json
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from synthetic import make_view

from harness import registry
from harness.evidence.combined import CombinedEffect, combined_effects
from harness.evidence.documents.comparison import build_report
from harness.evidence.documents.differences import differences
from harness.evidence.documents.many import many_report
from harness.evidence.documents.mixing import counted_twice, forbidden, same_device
from harness.evidence.run_effects import stability_of
from harness.evidence.sections.quality import ITEMS
from harness.evidence.standings import standing_of
from harness.evidence.statistics.verdict import Outcome
from harness.evidence.view import ComparisonView
from harness.pipeline.claims import load_claims
from harness.tables import Table


def renamed(view: ComparisonView, name: str, **spec: Any) -> ComparisonView:
    plan = view.record.plan
    plan = plan.model_copy(update={"id": name, "spec": {**plan.spec, "model": name, **spec}})
    return ComparisonView(view.record.model_copy(update={"id": name, "plan": plan}), view.items, view.series)


def with_configs(view: ComparisonView, **settings: Any) -> ComparisonView:
    """Every training stage of ORPO with these settings."""
    stages = {
        digest: stage.model_copy(update={"config": {"method": "orpo", "config": settings}})
        if stage.kind == "train" and stage.name.startswith("orpo/")
        else stage
        for digest, stage in view.record.plan.stages.items()
    }
    plan = view.record.plan.model_copy(update={"stages": stages})
    return ComparisonView(view.record.model_copy(update={"plan": plan}), view.items, view.series)


def test_rows_are_runs_and_columns_are_arms() -> None:
    views = [renamed(make_view(), "small"), renamed(make_view(seeds=(3, 4, 5)), "large")]
    assert forbidden(views) == []
    report = many_report(views)
    tables = {table.name: table for table in report.tables()}
    table = tables["runs_preference_accuracy"]
    assert table.columns == ("model", "data", "seeds", "sft", "sft_dpo", "orpo", "items", "missing")
    assert [row[0].value for row in table.rows] == ["small", "large"]
    assert tables["runs_relative_flops"].rows[0][5].value == pytest.approx(2 / 3.67)
    assert not any("Counts" in note for note in tables["runs_differences"].notes)


def test_scores_of_runs_count_their_items_as_one_runs_do() -> None:
    """One arm lacks two items at one of three seeds; another run was not asked at all."""
    first, silent = scored("a", 0.1), scored("b", 0.1)
    tables = first.items["orpo@1"]["preference.accuracy"]
    first.unread["orpo@1"] = {"preference.accuracy": {"i0", "i1"}}
    for item in ("i0", "i1"):
        del tables[item]
    silent.items.clear()
    table = table_of([first, silent], "runs_preference_accuracy")
    counts = [(row[-2].value, row[-1].value) for row in table.rows]
    assert counts == [(20, "orpo 2 of 60"), (None, None)]
    assert [cell.reason for cell in table.rows[1][-2:]] == ["not every run has preference.accuracy"] * 2
    one_run = next(t for t in build_report(first).tables() if t.name == "scores")
    assert set(one_run.notes) & set(table.notes) == {ITEMS}
    assert [cell.value for cell in one_run.rows[0][-2:]] == [20, "orpo 2 of 60"]


def test_what_parity_forbids_is_refused_and_named() -> None:
    plain = renamed(make_view(), "small")
    for broken, said in (
        (with_configs(renamed(make_view(), "large"), implementation="trl"), "arm orpo differs"),
        (renamed(make_view(), "large", budget={"axis": "flops"}), "budget's axis differs"),
        (renamed(make_view(), "large", generation={"temperature": 1.0}), "answers' settings differ"),
    ):
        started = renamed(with_configs(plain, implementation="matched"), "small", budget={"axis": "epochs"})
        started = renamed(started, "small", generation={"temperature": 0.0})
        found = forbidden([started, broken])
        assert any(said.replace("differ", "differ") in one or said in one for one in found), found


def test_seeds_that_two_runs_share_would_count_twice() -> None:
    first = scored("m", 0.1, seeds=(0, 1, 2))
    other = [
        scored("m", 0.1, seeds=(3, 4)),
        scored("another", 0.1, seeds=(0, 1, 2)),
        scored("m", 0.1, seeds=(0, 1, 2), data="others.jsonl"),
        renamed(make_view(arms={"sft": ["sft"], "simpo": ["simpo"]}, cost_reference="sft"), "m"),
    ]
    assert counted_twice([first, *other]) == []
    longer = scored("m", 0.1, seeds=(1, 2, 3))
    assert counted_twice([first, longer]) == [
        f"{first.record.id} and {longer.record.id} both hold sft, sft_dpo, orpo of m on pairs.jsonl "
        "at seeds 1, 2"
    ]
    assert len(counted_twice([first, longer, other[0], other[1]])) == 2
    assert counted_twice([first, first]) == [f"{first.record.id} is given twice (seeds 0, 1, 2)"]


def test_pairs_of_another_digest_are_other_data() -> None:
    """A file whose pairs changed keeps its name."""
    first, second = scored("m", 0.1, seeds=(0, 1)), scored("m", 0.1, seeds=(1, 2))
    prep = second.record.results["prep"]
    facts = prep.facts.model_copy(update={"train_ids_digest": "d2"})
    second.record.results["prep"] = prep.model_copy(update={"facts": facts})
    assert counted_twice([first, second]) == []


def test_times_of_different_devices_are_left_out() -> None:
    first, second = renamed(make_view(), "small"), renamed(make_view(), "large")
    results = {
        digest: result.model_copy(
            update={"environment": result.environment.model_copy(update={"device_name": "another"})}
        )
        for digest, result in second.record.results.items()
    }
    second = ComparisonView(
        second.record.model_copy(update={"results": results}), second.items, second.series
    )
    assert same_device([first, first])
    assert not same_device([first, second])
    tables = {table.name: table for table in many_report([first, second]).tables()}
    assert tables["runs_wall_seconds"].rows[0][3].value is None
    assert tables["runs_flops"].rows[0][3].value is not None
    assert tables["runs_relative_wall_seconds"].rows[0][3].value is not None


def test_differences_of_two_runs() -> None:
    first = renamed(make_view(), "small", stages={"dpo": {"beta": 0.1}})
    assert differences(first, first) == []
    second = renamed(make_view(), "small", stages={"dpo": {"beta": 0.5}})
    second.items["orpo@0"]["preference.accuracy"]["i0"] = 0.5
    found = {(d.group, d.name): (d.a, d.b) for d in differences(first, second)}
    assert found["Settings", "stages.dpo.beta"] == ("0.1", "0.5")
    assert ("Results", "orpo: preference.accuracy") in found
    assert not any(group == "Surroundings" for group, _ in found)


MARGIN = {"quantity": "preference.accuracy", "a": "orpo", "b": "sft_dpo", "margin": 0.05}


def scored(
    model: str,
    effect: float,
    *,
    seeds: tuple[int, ...] = (0, 1, 2),
    data: str = "pairs.jsonl",
    questions: tuple[dict[str, Any], ...] = (MARGIN,),
    spread: float = 0.01,
    **spec: Any,
) -> ComparisonView:
    """A run in which ORPO lies `effect` above SFT then DPO, whose gain over SFT is 0.1, give or take."""
    view = make_view(seeds=seeds, model=model, questions=list(questions), **spec)
    plan = view.record.plan.model_copy(update={"id": f"{model}-{data}-{seeds}"})
    results = dict(view.record.results)
    facts = results["prep"].facts.model_copy(update={"source": data})
    results["prep"] = results["prep"].model_copy(update={"facts": facts})
    rng = np.random.default_rng([zlib.crc32(model.encode()), seeds[0]])
    items = {}
    for seed in seeds:
        for arm, gain in (("sft", 0.0), ("sft_dpo", 0.1), ("orpo", 0.1 + effect)):
            # The same items are added to every arm's own level, so that the spread is that of seeds.
            level = gain + spread * rng.standard_normal()
            items[f"{arm}@{seed}"] = {"preference.accuracy": {f"i{n}": n / 100 + level for n in range(20)}}
    record = view.record.model_copy(update={"id": plan.id, "plan": plan, "results": results})
    return ComparisonView(record, items, view.series)


def accuracy(views: list[ComparisonView]) -> CombinedEffect:
    return next(one for one in combined_effects(views) if one.quantity == "preference.accuracy")


def table_of(views: list[ComparisonView], name: str) -> Table:
    return next(table for table in many_report(views).tables() if table.name == name)


def test_the_combined_effect_is_the_headline() -> None:
    views = [scored(f"model {n}", effect) for n, effect in enumerate((0.08, 0.1, 0.12, 0.1))]
    one = accuracy(views)
    assert one.combined is not None
    assert one.verdict.outcome == Outcome.BETTER
    assert one.estimate.n == 4
    assert one.estimate.value == pytest.approx(0.1, abs=0.01)
    assert one.estimate.target == "models like these 4, on pairs.jsonl"
    assert one.predicted is not None
    assert one.predicted[0] < one.estimate.low < one.estimate.high < one.predicted[1]
    report = many_report(views)
    shown = f"(difference {one.estimate.value:.3f} [{one.estimate.low:.3f}, {one.estimate.high:.3f}]"
    assert report.summary[0].startswith(f"ORPO against SFT then DPO, preference.accuracy: better {shown}")
    assert "over 4 runs, 4 models and 1 data set; registered in every run" in report.summary[0]
    assert report.sections[0].title == "ORPO against SFT then DPO over all runs"


def test_runs_that_separate_little_are_clear_together() -> None:
    """Counted as verdicts they were 12 times not separable."""
    views = [scored(f"model {n}", 0.02, spread=0.02) for n in range(12)]
    separable = [
        v for run in accuracy(views).runs if (v := run.contrast) and v.verdict.outcome == Outcome.BETTER
    ]
    assert separable == []
    assert accuracy(views).verdict.outcome == Outcome.BETTER


def test_repetitions_of_a_model_and_data_set_count_once() -> None:
    views = [scored("m", 0.3, seeds=(s, s + 1, s + 2)) for s in (0, 3, 6, 9)]
    one = accuracy(views)
    assert one.combined is None
    assert one.verdict.text.startswith("not combined: fewer than 2 models and data sets")
    assert many_report(views).sections[0].title != "ORPO against SFT then DPO over all runs"
    both = accuracy([*views, scored("other", 0.1)])
    assert both.estimate.n == 2
    assert both.estimate.value == pytest.approx(0.2, abs=0.02)
    assert both.estimate.freedom == 1
    notes = " ".join(table_of([*views, scored("other", 0.1)], "runs_combined").notes)
    assert "one degree of freedom" in notes


def test_a_run_without_an_error_is_listed_and_left_out() -> None:
    equal, dark = scored("equal", 0.0), make_view(random_weights=True, model="random", questions=[MARGIN])
    for seed in equal.seeds:
        equal.items[f"orpo@{seed}"] = equal.items[f"sft_dpo@{seed}"]
    views = [scored("a", 0.1), scored("b", 0.12), equal, dark]
    one = accuracy(views)
    assert [run.effect is not None for run in one.runs] == [True, True, False, False]
    assert [run.reason for run in one.runs[2:]] == [
        "no standard error (every item is equal)",
        "training began from random weights",
    ]
    assert [weight is None for weight in one.weights] == [False, False, True, True]
    rows = [row for row in table_of(views, "runs_differences").rows if row[0].value == "preference.accuracy"]
    assert [row[8].value for row in rows[2:]] == [
        "left out: no standard error (every item is equal)",
        "left out: training began from random weights",
    ]
    drawn = next(f for f in many_report(views).figures() if "accuracy" in f.name).panels[0].rows
    assert [(row.kind, row.weight is None) for row in drawn] == [
        ("run", False),
        ("run", False),
        ("run", True),
        ("combined", True),
    ]


def test_the_margin_is_that_of_every_run_or_none() -> None:
    tests = [scored(f"model {n}", effect) for n, effect in enumerate((-0.01, 0.0, 0.01, 0.0, -0.005))]
    one = accuracy(tests)
    assert (one.registered, one.margin) == (True, 0.05)
    assert one.verdict.text == "not worse within the margin of 5.00 points"
    row = next(r for r in table_of(tests, "runs_combined").rows if r[0].value == "preference.accuracy")
    assert row[9].value == "yes, margin 5.00 points"
    wider = accuracy([*tests, scored("wide", 0.0, questions=({**MARGIN, "margin": 0.1},))])
    assert (wider.registered, wider.margin) == (True, None)
    assert wider.verdict.outcome == Outcome.NOT_SEPARABLE
    unasked = accuracy([*tests, scored("silent", 0.0, questions=())])
    assert (unasked.registered, unasked.margin) == (False, None)


def test_registered_quantities_are_one_family() -> None:
    """Two registered quantities: the smaller p counts twice."""
    asked = (MARGIN, {"quantity": "cost.wall_seconds", "a": "orpo", "b": "sft_dpo", "margin": None})
    views = [scored(f"model {n}", e, questions=asked) for n, e in enumerate((0.02, 0.06, 0.04))]
    one = accuracy(views)
    time = next(e for e in combined_effects(views) if e.quantity == "cost.wall_seconds")
    # Time is told exactly the same in every made run, so that there is no error and no p of its own.
    assert time.p is None
    assert one.estimate.p is not None
    assert one.p == pytest.approx(one.estimate.p)
    for view in views:
        for digest, stage in view.record.results.items():
            if digest.startswith("orpo"):
                ledger = [
                    m.model_copy(update={"value": m.value * (1 + 0.1 * stage.seed * (digest == "orpo2"))})
                    if m.quantity == "wall_seconds"
                    else m
                    for m in stage.ledger
                ]
                view.record.results[digest] = stage.model_copy(update={"ledger": ledger})
    effects = {e.quantity: e for e in combined_effects(views)}
    ps = [effects[name].estimate.p for name in ("preference.accuracy", "cost.wall_seconds")]
    assert all(p is not None for p in ps)
    adjusted = [effects[name].p for name in ("preference.accuracy", "cost.wall_seconds")]
    assert min(adjusted) == pytest.approx(min(1.0, 2 * min(ps)))


def test_counted_costs_that_never_vary_are_said_as_they_are() -> None:
    one = next(
        e for e in combined_effects([scored("a", 0.1), scored("b", 0.1)]) if e.quantity == "cost.flops"
    )
    assert one.estimate.value == pytest.approx(2 / 3.67)
    assert one.verdict.text == "less, by the same factor in every run"


def test_the_stability_of_gains_over_the_baseline() -> None:
    """SFT then DPO gains 0.1 in every run; what ORPO gains depends on the model."""
    effects = (0.2, -0.3, 0.4, 0.0, -0.2, 0.3, 0.1)
    views = [scored(f"model {n}", effect, spread=0.001) for n, effect in enumerate(effects)]
    assert stability_of(views, "preference.accuracy", "orpo", "sft_dpo").more_stable is False
    assert stability_of(views, "preference.accuracy", "sft_dpo", "orpo").more_stable is True
    assert table_of(views, "runs_stability").rows[0][-1].value == "less stable"
    few = table_of(views[:4], "runs_stability").rows[0]
    assert few[-1].value == "not measured: 4 models and data sets, needs at least 5"


def test_a_claim_of_stability_is_judged_over_runs_only() -> None:
    """ORPO varies more: the claim about it is contradicted, the same of SFT then DPO supported."""
    views = [scored(f"model {n}", e, spread=0.001) for n, e in enumerate((0.2, -0.3, 0.4, 0.0, -0.2, 0.3))]
    claim = next(one for one in load_claims() if one.id == "more_stable")
    turned = claim.model_copy(update={"a": "sft_dpo", "b": "orpo"})
    table = next(t for t in many_report(views, [claim, turned]).tables() if t.name == "runs_claims")
    assert [row[-1].value for row in table.rows] == ["contradicted", "supported"]
    few = next(t for t in many_report(views[:4], [claim]).tables() if t.name == "runs_claims")
    assert few.rows[0][-1].value == "not measured: 4 models and data sets, needs at least 5"
    alone = standing_of(views[0], claim)
    assert (alone.text, alone.estimate.reason) == (
        "not measured",
        "one run has no spread between models and data sets",
    )


def test_every_format_draws_the_forest(tmp_path: Path) -> None:
    views = [scored(f"model {n}", effect) for n, effect in enumerate((0.08, 0.1, 0.12))]
    report = many_report(views)
    for name in registry.names("formats"):
        registry.load("formats", name).render(report, tmp_path)
    page = (tmp_path / "report.html").read_text()
    drawn = next(figure for figure in report.figures() if "accuracy" in figure.name)
    for row in drawn.panels[0].rows:
        assert row.label in page
        assert row.label in (tmp_path / "figures" / f"{drawn.name}.svg").read_text()
    assert (tmp_path / "figures" / f"{drawn.name}.pdf").stat().st_size > 0
    one = accuracy(views).estimate
    assert f"{one.value:.3f} [{one.low:.3f}, {one.high:.3f}]" in page
    written = json.loads((tmp_path / "comparison.json").read_text())["combined"]
    held = next(entry for entry in written if entry["quantity"] == "preference.accuracy")
    assert (held["estimate"], held["low"], held["high"]) == (one.value, one.low, one.high)
    assert sum(held["weights"].values()) == pytest.approx(1)


TENTHS = {"all": {"weights": {"preference.accuracy": 2}, "scales": {"preference.accuracy": 0.1}}}
OVERALL = {"quantity": "aggregate.all", "a": "orpo", "b": "sft_dpo", "margin": 0.5}


def test_aggregates_are_combined_like_other_registered_questions() -> None:
    """Tenths of accuracy are ten times its difference; every run asked about them, and about nothing else."""
    views = [
        scored(f"model {n}", effect, questions=(OVERALL,), aggregates=TENTHS)
        for n, effect in enumerate((0.08, 0.1, 0.12))
    ]
    effects = {one.quantity: one for one in combined_effects(views)}
    one, accurate = effects["aggregate.all"], effects["preference.accuracy"]
    assert one.estimate.value == pytest.approx(10 * accurate.estimate.value)
    assert one.estimate.p == pytest.approx(accurate.estimate.p)
    assert (one.registered, one.margin, accurate.registered) == (True, 0.5, False)
    assert one.verdict.outcome == Outcome.BETTER
    report = many_report(views)
    assert report.summary[0].startswith("ORPO against SFT then DPO, aggregate.all: better (difference 1.0")
    for name in ("runs_combined", "runs_differences"):
        notes = table_of(views, name).notes
        assert sum("preference.accuracy by 100.0%, one unit being 0.1" in note for note in notes) == 1


def test_an_aggregate_is_one_thing_in_all_runs_or_refused() -> None:
    first = scored("a", 0.1, aggregates=TENTHS)
    doubled = {"all": {**TENTHS["all"], "weights": {"preference.accuracy": 4}}}
    wider = {"all": {**TENTHS["all"], "scales": {"preference.accuracy": 0.2}}}
    assert forbidden([first, scored("b", 0.1, aggregates=doubled), scored("c", 0.1)]) == []
    (reason,) = forbidden([first, scored("b", 0.1, aggregates=wider)])
    assert reason.startswith("aggregate.all differs (")
    effects = {one.quantity: one for one in combined_effects([first, scored("c", 0.1)])}
    assert [run.reason for run in effects["aggregate.all"].runs] == [None, "it has no aggregate.all"]
