"""Published claims of every kind, judged on made runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from synthetic import make_view

from harness.errors import UserError
from harness.evidence.contrasts import score_contrast
from harness.evidence.sections.claims import claims_table
from harness.evidence.standings import standing_of
from harness.evidence.view import ComparisonView
from harness.pipeline.claims import Claim, load_claims
from harness.records import JudgeFacts, Score, StageUse


def claim(**fields: Any) -> Claim:
    return Claim.model_validate({"id": "x", "statement": "s", "source": "s", **fields})


def with_items(**scores: dict[str, list[float]]) -> ComparisonView:
    """Scores by metric and arm, one mean a seed over 20 items."""
    view = make_view(seeds=(0, 1, 2))
    items = {
        f"{arm}@{seed}": {
            metric.replace("__", "."): {f"i{i}": arms[arm][seed] + 0.001 * i for i in range(20)}
            for metric, arms in scores.items()
        }
        for arm in ("sft", "sft_dpo", "orpo")
        for seed in (0, 1, 2)
    }
    return ComparisonView(view.record, items, view.series)


ABOVE = {"sft": [0.4, 0.5, 0.4], "sft_dpo": [0.60, 0.61, 0.60], "orpo": [0.70, 0.72, 0.70]}


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"b": "sft_dpo", "expected": [0, None]}, "supported"),
        ({"b": "sft_dpo", "expected": [None, 0]}, "contradicted"),
        ({"b": "sft_dpo", "expected": [0.10, None]}, "not separable"),
        ({"expected": [0.5, None]}, "supported"),
        ({"a": "sft", "expected": [0.9, None]}, "contradicted"),
    ],
)
def test_scores_are_judged_by_their_interval(fields: dict[str, Any], said: str) -> None:
    view = with_items(diversity__per_input=ABOVE)
    assert (
        standing_of(view, claim(quantity="diversity.per_input", **{"a": "orpo", **fields})).standing == said
    )


def test_rises_during_training() -> None:
    view = make_view(seeds=(0, 1, 2))
    for series in view.series.values():
        for row in series:
            row["metrics"]["probe_logp_rejected"] = -1 + row["step"] / 100
    varied = {
        digest: [
            {**row, "metrics": {k: v + 0.001 * n * row["step"] for k, v in row["metrics"].items()}}
            for row in series
        ]
        for n, (digest, series) in enumerate(view.series.items())
    }
    view = ComparisonView(view.record, view.items, varied)
    rise = claim(quantity="logp_rejected_rise", a="sft", expected=[0, None])
    assert standing_of(view, rise).text == "supported"
    falls = claim(quantity="logp_rejected_rise", a="sft", expected=[None, 0])
    assert standing_of(view, falls).text == "contradicted"
    late = claim(quantity="log_odds_margin_late_rise", expected=[0, None])
    assert standing_of(view, late).text == "supported"
    silent = ComparisonView(view.record, view.items, {})
    assert standing_of(silent, rise).estimate.reason == "no held-out probes during training"


def test_settings_and_data_sets_are_counted() -> None:
    view = make_view()
    spec = {
        **view.record.plan.spec,
        "stages": {
            "sft": {"learning_rate": 1},
            "dpo": {"learning_rate": 1, "beta": 1},
            "orpo": {"learning_rate": 1, "lambda": 1},
        },
        "arms": [
            {"name": "sft_dpo", "stages": [{"method": "sft"}, {"method": "dpo"}]},
            {"name": "orpo", "stages": [{"method": "orpo", "name": None}]},
        ],
    }
    plan = view.record.plan.model_copy(update={"spec": spec})
    view = ComparisonView(view.record.model_copy(update={"plan": plan}), view.items, view.series)
    fewer = claim(quantity="stage_settings", b="sft_dpo", expected=[0, 0.99])
    one = standing_of(view, fewer)
    assert (one.estimate.value, one.text) == (pytest.approx(2 / 3), "supported")
    assert standing_of(view, claim(quantity="data_sets", expected=[1, 1])).text == "supported"


def test_what_one_run_cannot_measure_says_so() -> None:
    needs = claim(needs="several runs")
    one = standing_of(make_view(), needs)
    assert (one.text, one.estimate.reason) == ("not measured", "several runs")
    unscored = claim(quantity="mt_bench.score", b="sft_dpo", expected=[0, None])
    assert standing_of(make_view(), unscored).estimate.reason == "mt_bench.score was not scored"
    random = standing_of(make_view(random_weights=True), unscored).estimate
    assert random.reason == "training began from random weights"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("quantity: flops", "expected is missing"),
        ("quantity: flopz\n    expected: [0, 1]", "quantity flopz is unknown"),
        ("quantity: flops\n    expected: [1, 0]", "larger end first"),
        ("note: x", "say in needs why one run cannot"),
    ],
)
def test_a_malformed_claim_names_its_file(text: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(f"claims:\n  - id: x\n    statement: s\n    source: s\n    {text}\n")
    with pytest.raises(UserError, match=message) as error:
        load_claims(path)
    assert "mine.yaml" in str(error.value)


def test_every_shipped_claim_stands_in_the_table() -> None:
    claims = load_claims()
    names = {one.id for one in claims}
    wanted = {
        "no_reference_model", "half_the_forward_passes", "half_the_memory", "half_the_training_time",
        "relative_cost", "alpaca_eval_above_sft_dpo", "reward_model_above_sft_dpo", "ifeval_of_mistral",
        "mt_bench_of_mistral", "two_stages_above_one_stage", "orpo_after_sft_like_dpo",
        "dpo_above_orpo_of_mistral_base", "dpo_above_orpo_of_llama_3_base", "sft_raises_rejected",
        "margin_keeps_growing", "less_diverse_per_input",
        "more_diverse_across_inputs", "fewer_settings", "one_data_set", "more_stable", "rivals_larger_models",
        "sft_is_half_of_the_hours", "sft_is_a_fifth_of_the_cost",
    }  # fmt: skip
    assert wanted <= names
    table = claims_table(make_view(full=True), claims)
    assert table is not None
    assert len(table.rows) == len(names) - 1
    assert "1 claim(s) about arms that are not in this comparison are left out" in table.notes[1]
    sources = " ".join(str(row[table.columns.index("source")].value) for row in table.rows)
    assert "which contradicts its hours" in sources
    assert "three of the six figures against DPO are below one half" in sources


def test_every_shipped_claim_says_its_scope_and_what_judges_it() -> None:
    for one in load_claims():
        assert one.scope, one.id
        assert one.needs, one.id
    claims = {one.id: one for one in load_claims()}
    table = claims_table(make_view(full=True), [claims["half_the_memory"], claims["sft_raises_rejected"]])
    assert table is not None
    told = [dict(zip(table.columns, (cell.value for cell in row), strict=True)) for row in table.rows]
    assert [row["seeds in source"] for row in told] == ["no", "not looked up"]
    assert told[0]["needs"] == "both arms trained on an accelerator; host memory is not judged"
    assert str(told[1]["claim"]).endswith("(HH-RLHF)")


def test_claims_say_what_their_sources_say() -> None:
    """Directions that the figures of the same claim speak against, and ranges that no clock can meet."""
    claims = {one.id: one for one in load_claims()}
    for name in ("mt_bench_of_mistral", "ifeval_of_mistral"):
        assert claims[name].quantity is None
    assert "no SFT then DPO of Llama-2" in str(claims["alpaca_eval_above_sft_dpo"].scope)
    for name in ("less_diverse_per_input", "more_diverse_across_inputs"):
        assert claims[name].source.endswith("section 6.4")
    low, high = claims["relative_cost"].expected or (None, None)
    assert (low, high) == (0.57, 0.67)


def contests(rates: dict[int, list[float]], seeds: tuple[int, ...]) -> ComparisonView:
    """Orpo's answers against those of sft_dpo: by seed the preference on each prompt."""
    view = make_view(seeds=seeds)
    metric = "alpaca_eval.win_rate_vs_sft_dpo"
    items = {cell: dict(tables) for cell, tables in view.items.items()}
    facts = {}
    for seed in seeds:
        items[f"orpo@{seed}"][metric] = {f"p{i}": rate for i, rate in enumerate(rates[seed])}
        facts[f"orpo@{seed}"] = [
            Score(
                benchmark="alpaca_eval",
                metric="win_rate_vs_sft_dpo",
                estimate=sum(rates[seed]) / len(rates[seed]),
                n=len(rates[seed]),
                settings={"rival": f"sft_dpo@{seed}"},
            )
        ]
    record = view.record
    judge = record.results["prep"].model_copy(
        update={"digest": "judge", "kind": "judge", "name": "judge", "facts": JudgeFacts(cells=facts)}
    )
    record = record.model_copy(
        update={
            "plan": record.plan.model_copy(update={"judge": "judge"}),
            "results": {**record.results, "judge": judge},
            "uses": {**record.uses, "judge": StageUse(digest="judge")},
        }
    )
    return ComparisonView(record, items, view.series)


HALF_WINS = [1.0] * 60 + [0.5] * 20 + [0.0] * 20
FEW = [1.0] * 9 + [0.5] * 91
EVEN = [1.0] * 40 + [0.0] * 40
STANDS = {"better": "supported", "worse": "contradicted"}


@pytest.mark.parametrize(
    "by_seed",
    [
        [HALF_WINS],
        [FEW],
        [EVEN],
        [[1 - rate for rate in HALF_WINS]],
        [[0.5] * 30],
        [HALF_WINS, FEW],
        [HALF_WINS, HALF_WINS[5:] + [0.0] * 5, HALF_WINS[3:] + [0.5] * 3],
        [[1 - r for r in HALF_WINS], [1 - r for r in HALF_WINS[4:] + [0.0] * 4], [1 - r for r in HALF_WINS]],
        [EVEN, [*EVEN[1:], 0.5], [*EVEN[2:], 0.5, 0.5]],
    ],
)
def test_a_claim_on_a_win_rate_is_judged_as_its_contrast(by_seed: list[list[float]]) -> None:
    seeds = tuple(range(len(by_seed)))
    view = contests(dict(enumerate(by_seed)), seeds)
    metric = "alpaca_eval.win_rate_vs_sft_dpo"
    contrast = score_contrast(view, metric, "orpo", "sft_dpo")
    assert contrast is not None
    one = standing_of(view, claim(quantity=metric, expected=[0.5, None]))
    assert one.standing == STANDS.get(contrast.verdict.outcome, "not separable")
    against = standing_of(view, claim(quantity=metric, expected=[None, 0.5]))
    turned = {"supported": "contradicted", "contradicted": "supported"}
    assert against.standing == turned.get(one.standing, "not separable")
    assert one.estimate.p == contrast.estimate.p
    assert one.estimate.value == pytest.approx(0.5 + (contrast.estimate.value or 0.0))


@pytest.mark.parametrize(("arm", "models"), [("orpo", 1.0), ("sft_dpo", 2.0), ("sft_dpo_precomputed", 1.0)])
def test_a_reference_that_was_computed_before_holds_no_second_model(arm: str, models: float) -> None:
    one = standing_of(make_view(full=True), claim(quantity="models_in_memory", a=arm, expected=[1, 1]))
    assert one.estimate.value == models
    assert one.standing == ("supported" if models == 1 else "contradicted")
