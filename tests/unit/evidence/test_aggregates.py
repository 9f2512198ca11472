"""Aggregates over benchmarks: hand-computed, never over a gap, and right about scores that share items."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats
from synthetic import make_view

from harness.errors import UserError
from harness.evidence.aggregates import aggregate_contrasts
from harness.evidence.answers import answers
from harness.evidence.contrasts import score_contrast
from harness.evidence.documents.comparison import build_report
from harness.evidence.documents.comparison_json import comparison_data
from harness.evidence.documents.paper import build_paper
from harness.evidence.findings import findings
from harness.evidence.power import plan_power
from harness.evidence.sections.questions import questions_table
from harness.evidence.statistics.estimate import ITEMS_TARGET, POPULATION_TARGET
from harness.evidence.statistics.weighted import CANCELLED, Part, weighted_sum
from harness.evidence.view import ComparisonView
from harness.pipeline.load import load_comparison
from harness.pipeline.registration import changed_since, file_digest
from harness.quantities import is_share, is_win_rate
from harness.records import Score

Tables = dict[str, dict[str, dict[str, float]]]
"""Cell -> score -> item -> value."""


def asked_of(
    tables: Tables,
    weights: dict[str, float],
    scales: dict[str, float] | None = None,
    *,
    directions: dict[str, bool | None] | None = None,
    rivals: dict[str, str] | None = None,
    **question: Any,
) -> ComparisonView:
    """A comparison with these items, one aggregate, and one question about it."""
    seeds = tuple(sorted({int(cell.partition("@")[2]) for cell in tables if "@" in cell}))
    asked = {"quantity": "aggregate.all", "a": "orpo", "b": "sft_dpo", "margin": None, **question}
    spec = {"aggregates": {"all": {"weights": weights, "scales": scales or {}}}, "questions": [asked]}
    view = replace(make_view(seeds=seeds, **spec), items=tables)
    written = {}
    for cell, scores in tables.items():
        for metric in scores:
            benchmark, _, name = metric.rpartition(".")
            score = Score(
                benchmark=benchmark,
                metric=name,
                estimate=None,
                n=1,
                higher_is_better=(directions or {}).get(metric, True),
                settings={"rival": rivals[metric]} if rivals and metric in rivals else {},
                reason="made",
            )
            written[cell, metric] = ("prep", score)
    view.__dict__["written"] = written
    return view


def around(mean: float, n: int = 20) -> dict[str, float]:
    """Items with this mean, no two equal."""
    return {f"i{i}": mean + 0.001 * (i - (n - 1) / 2) * (1 if i % 2 else 1.3) for i in range(n)}


def flat(value: float, n: int = 20) -> dict[str, float]:
    return {f"i{i}": value for i in range(n)}


ACCURACY, WORDS = "preference.accuracy", "behaviour.words"
BY_SEED: Tables = {
    "orpo@0": {ACCURACY: {"i0": 0.5, "i1": 0.7}, WORDS: {"i0": 6.0, "i1": 8.0, "i2": 10.0}},
    "orpo@1": {ACCURACY: {"i0": 0.8, "i1": 0.6}, WORDS: {"i0": 5.0, "i1": 7.0, "i2": 6.0}},
    "orpo@2": {ACCURACY: {"i0": 0.9, "i1": 0.7}, WORDS: {"i0": 6.0, "i1": 8.0, "i2": 7.0}},
    **{
        f"sft_dpo@{seed}": {
            ACCURACY: {"i0": 0.5, "i1": 0.5},
            WORDS: {"i0": 9.0, "i1": 10.0, "i2": 11.0},
        }
        for seed in range(3)
    },
}
"""Differences of accuracy are 0.1, 0.2, 0.3 at the seeds, of words -2, -4, -3."""


def test_several_seeds_are_one_sum_a_seed() -> None:
    """0.25 x 0.1/0.1 + 0.75 x 2/2 = 1, then 2 and 1.875: fewer words are better."""
    view = asked_of(
        BY_SEED, {ACCURACY: 1, WORDS: 3}, {ACCURACY: 0.1, WORDS: 2.0}, directions={WORDS: False}, margin=0.1
    )
    (one,) = answers(view)
    estimate = one.estimate
    assert estimate.value == pytest.approx(1.625)
    assert (estimate.n, estimate.target, estimate.items) == (3, ITEMS_TARGET, 5)
    error = np.std([1, 2, 1.875], ddof=1) / np.sqrt(3)
    half = 4.302652729911275 * error
    assert (estimate.low, estimate.high) == (pytest.approx(1.625 - half), pytest.approx(1.625 + half))
    assert estimate.p == pytest.approx(2 * stats.t.sf(1.625 / error, 2))
    assert one.verdict.text == "better"
    assert one.p_not_worse == pytest.approx(stats.t.sf((1.625 + 0.1) / error, 2))


def test_the_other_side_sees_the_opposite_and_the_base_is_an_arm() -> None:
    tables = {**BY_SEED, "base": {ACCURACY: flat(0.4, 2), WORDS: flat(10.0, 3)}}
    weights, scales = {ACCURACY: 1.0, WORDS: 3.0}, {ACCURACY: 0.1, WORDS: 2.0}
    view = asked_of(tables, weights, scales, directions={WORDS: False}, a="sft_dpo", b="orpo")
    assert answers(view)[0].estimate.value == pytest.approx(-1.625)
    assert answers(view)[0].verdict.text == "worse"
    # Accuracy is 0.2, 0.3 and 0.4 above, words 2, 4 and 3 below.
    view = asked_of(tables, weights, scales, directions={WORDS: False}, b="base")
    assert answers(view)[0].estimate.value == pytest.approx(0.25 * 3 + 0.75 * 1.5)


def _one_seed(rng: np.random.Generator) -> tuple[np.ndarray[Any, Any], ...]:
    both = rng.multivariate_normal([0.3, 0.3], [[1, 0.9], [0.9, 1]], 40)
    return both[:, 0], both[:, 1], rng.normal(0.2, 2.0, 25)


def _cell(one: Any, two: Any, three: Any) -> dict[str, dict[str, float]]:
    return {
        "x.one": {f"q{i}": float(v) for i, v in enumerate(one)},
        "x.two": {f"q{i}": float(v) for i, v in enumerate(two)},
        "y.three": {f"r{i}": float(v) for i, v in enumerate(three)},
    }


def test_one_seed_adds_shared_items_first_and_variances_of_the_rest() -> None:
    one, two, three = _one_seed(np.random.default_rng(3))
    tables = {"orpo@0": _cell(one, two, three), "sft_dpo@0": _cell(0 * one, 0 * two, 0 * three)}
    scales = {"x.one": 1.0, "x.two": 2.0, "y.three": 4.0}
    (answer,) = answers(asked_of(tables, {"x.one": 1, "x.two": 1, "y.three": 2}, scales))
    shared, alone = one / 4 + two / 8, three / 8
    variances = [shared.var(ddof=1) / 40, alone.var(ddof=1) / 25]
    freedom = sum(variances) ** 2 / (variances[0] ** 2 / 39 + variances[1] ** 2 / 24)
    mean, error = shared.mean() + alone.mean(), np.sqrt(sum(variances))
    estimate = answer.estimate
    assert (estimate.n, estimate.target) == (65, POPULATION_TARGET)
    assert estimate.value == pytest.approx(mean)
    assert (estimate.error, estimate.freedom) == (pytest.approx(error), pytest.approx(freedom))
    assert estimate.low == pytest.approx(mean - stats.t.ppf(0.975, freedom) * error)
    assert estimate.p == pytest.approx(2 * stats.t.sf(abs(mean) / error, freedom))


def test_items_that_two_benchmarks_share_are_added_first_too() -> None:
    """Held-out pairs and their prompts, by the same ids: as one benchmark's."""
    one, two, _ = _one_seed(np.random.default_rng(3))
    ids = [f"q{i}" for i in range(40)]
    ours = {"x.one": dict(zip(ids, one, strict=True)), "y.two": dict(zip(ids, two, strict=True))}
    nothing = {score: dict.fromkeys(ids, 0.0) for score in ours}
    tables: Tables = {"orpo@0": ours, "sft_dpo@0": nothing}
    (answer,) = answers(asked_of(tables, {"x.one": 1, "y.two": 1}, {"x.one": 1, "y.two": 1}))
    assert answer.estimate.error == pytest.approx(((one + two) / 2).std(ddof=1) / np.sqrt(40))
    assert answer.estimate.n == 40


def test_clusters_join_items_of_unequal_ids() -> None:
    """Two pairs of each prompt in one score, the prompt itself in the other: 20 prompts are 20 clusters."""
    rng = np.random.default_rng(0)
    prompts = rng.normal(0, 1, 20)
    pairs = {f"pair{i}": prompts[i // 2] + rng.normal(0, 0.1) for i in range(40)}
    clusters = {f"pair{i}": f"prompt{i // 2}" for i in range(40)}
    asked = {f"answer{i}": prompts[i] + rng.normal(0, 0.1) for i in range(20)}
    answered = {f"answer{i}": f"prompt{i}" for i in range(20)}
    whole = weighted_sum([Part("pairs", 0.5, [pairs], clusters), Part("grades", 0.5, [asked], answered)])
    apart = weighted_sum([Part("pairs", 0.5, [pairs], {}), Part("grades", 0.5, [asked], {})])
    assert whole.clusters == 20
    by_prompt = [
        (pairs[f"pair{2 * i}"] + pairs[f"pair{2 * i + 1}"]) / 4 + asked[f"answer{i}"] / 2 for i in range(20)
    ]
    assert whole.error == pytest.approx(np.std(by_prompt, ddof=1) / np.sqrt(20))
    assert apart.error is not None
    assert whole.error is not None
    assert apart.error < 0.75 * whole.error


@pytest.mark.parametrize("seeds", [1, 5])
@pytest.mark.parametrize("rate", [0.03, 0.6, 1.0])
def test_an_aggregate_of_one_score_is_that_score(seeds: int, rate: float) -> None:
    """In units of its scale: a perfect record at every seed, few disagreements, and many."""
    rng = np.random.default_rng(7)
    tables: Tables = {}
    for seed in range(seeds):
        ours = (rng.random(100) < rate).astype(float)
        tables[f"orpo@{seed}"] = {ACCURACY: {f"i{i}": v for i, v in enumerate(ours)}}
        theirs = (rng.random(100) < 0.5) * (rate == 0.6)
        tables[f"sft_dpo@{seed}"] = {ACCURACY: {f"i{i}": float(v) for i, v in enumerate(theirs)}}
    view = asked_of(tables, {ACCURACY: 3}, {ACCURACY: 0.1})
    plain = score_contrast(view, ACCURACY, "orpo", "sft_dpo")
    estimate = answers(view)[0].estimate
    assert plain is not None
    for name in ("value", "low", "high", "error", "middle", "detectable"):
        assert getattr(estimate, name) == pytest.approx(10 * getattr(plain.estimate, name)), name
    assert (estimate.p, estimate.n) == (pytest.approx(plain.estimate.p), plain.estimate.n)


def test_a_scale_left_out_is_the_spread_of_the_base_models_items() -> None:
    base = {"i0": 0.0, "i1": 1.0, "i2": 1.0, "i3": 0.0}
    tables = {**BY_SEED, "base": {ACCURACY: base, WORDS: {"i0": 1.0, "i1": 5.0}}}
    view = asked_of(tables, {ACCURACY: 1, WORDS: 1}, {WORDS: 2.0}, directions={WORDS: False})
    (one,) = answers(view)
    assert one.estimate.value == pytest.approx(0.5 * 0.2 / np.std([0, 1, 1, 0], ddof=1) + 0.5 * 3 / 2)
    table = questions_table(view, [one])
    assert table is not None
    assert any(
        "preference.accuracy 50.0%, one unit being 0.577 (the spread of the base model's items)" in note
        and "behaviour.words 50.0%, one unit being 2 (as written before the run, lower being better)" in note
        for note in table.notes
    )


MISSING = {
    "a score": (
        {ACCURACY: 1, "rubric.grade": 1},
        {ACCURACY: 1.0, "rubric.grade": 1.0},
        {},
        "rubric.grade was not scored",
    ),
    "a seed": (
        {ACCURACY: 1, "x.some": 1},
        {ACCURACY: 1.0, "x.some": 1.0},
        {"orpo@0": {"x.some": flat(1.0)}, "sft_dpo@0": {"x.some": flat(0.0)}},
        "missing for both: x.some at seed 1, 2",
    ),
    "an arm": (
        {ACCURACY: 1, "x.some": 1},
        {ACCURACY: 1.0, "x.some": 1.0},
        {"orpo@0": {"x.some": flat(1.0)}},
        "x.some was not scored for both",
    ),
    "a scale": (
        {ACCURACY: 1},
        {},
        {},
        "preference.accuracy has no scale: it was not scored for the base model",
    ),
    "any spread": (
        {ACCURACY: 1},
        {},
        {"base": {ACCURACY: flat(1.0)}},
        "preference.accuracy has no scale: it does not vary, or is not finite",
    ),
    "finite values": (
        {"x.odd": 1},
        {"x.odd": 1.0},
        {cell: {"x.odd": {"i0": float("nan"), "i1": 1.0}} for cell in BY_SEED},
        "x.odd: 3 of 6 values are not finite",
    ),
}


@pytest.mark.parametrize("what", MISSING)
def test_nothing_is_averaged_over_a_gap(what: str) -> None:
    weights, scales, more, reason = MISSING[what]
    cells = {**BY_SEED, "base": {}} if "base" in more else BY_SEED
    tables = {cell: {**scores, **more.get(cell, {})} for cell, scores in cells.items()}
    (one,) = answers(asked_of(tables, weights, scales))
    assert one.verdict.text.startswith(f"not measured: {reason}")
    assert (one.estimate.value, one.p) == (None, None)


def test_scores_without_a_direction_have_no_part() -> None:
    (one,) = answers(asked_of(BY_SEED, {ACCURACY: 1}, {ACCURACY: 1}, directions={ACCURACY: None}))
    assert one.verdict.text == "not measured: neither direction of preference.accuracy is better"


def test_a_win_rate_against_an_arm_needs_a_written_scale() -> None:
    """What the base model reaches in it depends on a trained arm."""
    win = "alpaca_eval.win_rate"
    tables: Tables = {cell: {win: {"i0": 1.0, "i1": 0.0, "i2": 1.0}} for cell in ("orpo@0", "orpo@1", "base")}
    view = asked_of(tables, {win: 1}, rivals={win: "sft_dpo@0"})
    assert "is against an arm" in answers(view)[0].verdict.text
    written = asked_of(tables, {win: 1}, {win: 0.5}, rivals={win: "sft_dpo@0"})
    turned = asked_of(tables, {win: 1}, {win: 0.5}, rivals={win: "sft_dpo@0"}, a="sft_dpo", b="orpo")
    assert answers(written)[0].estimate.value == pytest.approx((2 / 3 - 0.5) / 0.5)
    assert answers(turned)[0].estimate.value == pytest.approx(-(2 / 3 - 0.5) / 0.5)


@pytest.mark.parametrize("seeds", [1, 3])
def test_identical_is_every_part_and_every_item(seeds: int) -> None:
    rng = np.random.default_rng(1)
    items = [{f"i{i}": float(v) for i, v in enumerate(rng.normal(0, 1, 30))} for _ in range(seeds)]
    nothing = [dict.fromkeys(table, 0.0) for table in items]
    equal = weighted_sum([Part("x", 0.5, nothing, {}), Part("y", 0.5, nothing, {})])
    assert (equal.identical, equal.value, equal.p) == (True, 0.0, 1.0)
    half = weighted_sum([Part("x", 0.5, nothing, {}), Part("y", 0.5, items, {})])
    alone = weighted_sum([Part("y", 0.5, items, {})])
    assert not half.identical
    assert half.value == pytest.approx(alone.value)
    cancelled = weighted_sum([Part("x", 0.5, items, {}), Part("y", -0.5, items, {})])
    assert (cancelled.identical, cancelled.value, cancelled.low) == (False, 0.0, None)
    assert cancelled.reason == CANCELLED


def test_it_is_one_question_of_the_family() -> None:
    view = asked_of(BY_SEED, {ACCURACY: 1}, {ACCURACY: 0.1})
    asked = [*view.record.plan.spec["questions"], {"quantity": WORDS, "a": "orpo", "b": "sft_dpo"}]
    spec = {**view.record.plan.spec, "questions": asked}
    plan = view.record.plan.model_copy(update={"spec": spec})
    both = answers(ComparisonView(view.record.model_copy(update={"plan": plan}), view.items, view.series))
    alone = answers(view)[0].estimate.p
    assert alone is not None
    assert [one.family for one in both] == [2, 2]
    assert both[0].p == pytest.approx(min(1.0, max(alone, 2 * min(alone, both[1].estimate.p or 1.0))))


def test_every_format_gets_it_from_the_same_tables() -> None:
    tables = {**BY_SEED, "base": {ACCURACY: {"i0": 0.0, "i1": 1.0}}}
    view = asked_of(tables, {ACCURACY: 1}, margin=0.5)
    value = answers(view)[0].estimate.value
    report = build_report(view)
    found = {
        t.name: [row for row in t.rows if str(row[0].value).startswith("aggregate.all")]
        for t in report.tables()
    }
    assert [row[3].value for row in (*found["questions"], *found["evidence"])] == [value, value]
    assert found["evidence"][0][8].reason.startswith("the scores of an aggregate have different items")
    data = comparison_data(findings(view))
    assert [q["estimate"]["value"] for q in data["questions"]] == [value]
    assert [
        e["estimate"] for e in data["evidence"] if e["quantity"] == "aggregate.all" and e["b"] == "sft_dpo"
    ] == [value]
    (member,) = data["aggregates"]["all"]
    assert (member["share"], member["scale"], member["written"]) == (1.0, pytest.approx(np.sqrt(0.5)), False)
    paper = build_paper([view])
    macro = next(m for m in paper.macros if m.name == "orpoAllEffect")
    assert macro.cell.value == value
    assert [[row[0].value, row[1].value] for row in paper.tables[1].rows] == [["All", value]]


def test_pairs_without_it_are_left_out_and_its_absence_is_told_once() -> None:
    tables = {**BY_SEED, **{f"sft@{seed}": {ACCURACY: BY_SEED["sft_dpo@0"][ACCURACY]} for seed in range(3)}}
    some = asked_of(tables, {ACCURACY: 1, WORDS: 1}, {ACCURACY: 1, WORDS: 1})
    assert [(one.a, one.b) for one in aggregate_contrasts(some)] == [("orpo", "sft_dpo")]
    none = asked_of(tables, {"rubric.grade": 1})
    assert {one.estimate.value for one in aggregate_contrasts(none)} == {None}
    notes = next(table for table in build_report(none).tables() if table.name == "evidence").notes
    assert "aggregate.all is not measured: rubric.grade was not scored." in notes


def test_planning_knows_its_spread() -> None:
    view = asked_of(BY_SEED, {ACCURACY: 1}, {ACCURACY: 0.1}, margin=1.0)
    (power,) = plan_power(view.questions, 5, view, view.aggregates)
    assert power.spread is not None
    assert power.spread.sd == pytest.approx(1.0)
    (unknown,) = plan_power(view.questions, 5, None, view.aggregates)
    assert unknown.spread is None


FILE = Path("pipelines/embedded.yaml").read_text().partition("questions:")[0]


def written(folder: Path, aggregate: str, quantity: str = "aggregate.overall") -> Path:
    path = folder / "mine.yaml"
    path.write_text(f"{FILE}aggregates:\n  overall: {aggregate}\nquestions:\n  - {{quantity: {quantity}}}\n")
    return path


def test_a_comparison_file_may_hold_one(tmp_path: Path) -> None:
    spec = load_comparison(written(tmp_path, "{weights: {preference.accuracy: 1, rubric.grade: 2}}"))
    assert spec.aggregates["overall"].weights == {"preference.accuracy": 1, "rubric.grade": 2}


@pytest.mark.parametrize(
    ("aggregate", "quantity", "message"),
    [
        ("{weights: {rubic.grade: 1}}", "", r'unknown benchmark "rubic"; did you mean "rubric"'),
        ("{weights: {rubric: 1}}", "", "rubric names no metric; write benchmark.metric"),
        (
            "{weights: {cost.flops: 1}}",
            "",
            "cost.flops is no score, so it cannot be part of aggregate overall",
        ),
        ("{weights: {aggregate.overall: 1}}", "", "aggregate.overall is no score"),
        (
            "{weights: {rubric.grade: -1}}",
            "",
            "the weight of rubric.grade is -1; give a finite number above 0",
        ),
        (
            "{weights: {rubric.grade: 1}, scales: {rubric.grade: 0}}",
            "",
            "the scale of rubric.grade is 0; give",
        ),
        ("{weights: {rubric.grade: .inf}}", "", r"weights\.rubric\.grade is inf; give a finite number"),
        (
            "{weights: {rubric.grade: 1}, scales: {rubric.grad: 1}}",
            "",
            "rubric.grad has a scale and no weight",
        ),
        ("{weights: {}}", "", "aggregates.overall.weights is {}; give at least 1"),
        ("{weight: {rubric.grade: 1}}", "", 'unknown key aggregates.overall.weight; did you mean "weights"'),
        (
            "{weights: {rubric.grade: 1}}",
            "aggregate.overal",
            'unknown aggregate "overal"; did you mean "overall"',
        ),
    ],
)
def test_mistakes_have_one_clear_message(aggregate: str, quantity: str, message: str, tmp_path: Path) -> None:
    path = written(tmp_path, aggregate, quantity or "aggregate.overall")
    with pytest.raises(UserError, match=message) as error:
        load_comparison(path)
    assert "mine.yaml:" in str(error.value)


def test_another_weight_after_the_run_is_another_question(tmp_path: Path) -> None:
    path = written(tmp_path, "{weights: {rubric.grade: 1}}")
    spec = load_comparison(path).model_dump(mode="json", by_alias=True)
    made = make_view().record
    plan = made.plan.model_copy(update={"spec": spec})
    record = made.model_copy(update={"plan": plan, "file": str(path), "file_digest": file_digest(path)})
    path.write_text(path.read_text() + "# a remark\n")
    assert "though not its questions" in str(changed_since(record))
    path.write_text(path.read_text().replace("rubric.grade: 1", "rubric.grade: 2"))
    assert "its questions too" in str(changed_since(record))


def test_an_aggregate_called_like_a_share_is_none() -> None:
    """Its unit is that of its scales, not points of percent."""
    assert [is_share(f"aggregate.{name}") for name in ("accuracy", "grade", "win_rate")] == [False] * 3
    assert not is_win_rate("aggregate.win_rate_vs_sft")
