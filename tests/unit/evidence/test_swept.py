"""What a sweep says: winners over all points together, exponents, and a report that shows both."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import Any

import pytest
from synthetic import make_view

from harness.evidence.documents.sweep import sweep_report
from harness.evidence.swept import At, contests, exponent, numeric
from harness.pipeline.sweep import Point
from harness.quantities import FLOPS, WALL_SECONDS
from harness.records import Measurement

ACCURACY = "preference.accuracy"
FIELDS = ("data.limit", "data.label_noise")
SIZES, NOISE = (100, 200, 400), (0.0, 0.5)


def at(point: Point, effect: float, *, cost: float = 1.0, items: int = 400) -> At:
    """Three seeds at which ORPO is `effect` better than DPO in the mean, and costs `cost` times as much."""
    asked = [
        {"quantity": ACCURACY, "a": "orpo", "b": "sft_dpo"},
        {"quantity": "cost.flops", "a": "orpo", "b": "sft_dpo"},
    ]
    view = make_view(seeds=(0, 1, 2), questions=asked)
    tables: dict[str, Any] = {}
    for cell in view.items:
        chance = random.Random(f"{cell} {dict(point)}")
        share = 0.5 + (effect if cell.startswith("orpo") else 0.0)
        tables[cell] = {ACCURACY: {f"i{n}": float(chance.random() < share) for n in range(items)}}
    return At(point, replace(dearer(view, cost), items=tables))


def dearer(view: Any, times: float) -> Any:
    results = {
        digest: one.model_copy(update={"ledger": [scaled(m, times) for m in one.ledger]})
        for digest, one in view.record.results.items()
    }
    return replace(view, record=view.record.model_copy(update={"results": results}))


def scaled(one: Measurement, times: float) -> Measurement:
    return one if one.value is None else one.model_copy(update={"value": one.value * times})


@pytest.fixture(scope="module")
def grid() -> list[At]:
    """ORPO is better where labels are right, in proportion to nothing else; costs go with the limit."""
    return [
        at({"data.limit": size, "data.label_noise": noise}, 0.0 if noise else 0.2, cost=size / 100)
        for size in SIZES
        for noise in NOISE
    ]


def test_planted_winners_are_found_and_no_others(grid: list[At]) -> None:
    accuracy, flops = contests(grid)
    assert [accuracy.winner(place) for place in range(6)] == ["orpo", None] * 3
    assert [accuracy.in_words(place) for place in range(2)] == ["orpo", "not separable"]
    assert {flops.winner(place) for place in range(6)} == {"orpo"}, "counted, and less"
    assert set(flops.p) == {None}


def test_p_values_are_adjusted_over_points_of_tested_questions(grid: list[At]) -> None:
    accuracy = contests(grid)[0]
    raw = [answer.estimate.p for answer in accuracy.found]
    assert all(p is not None for p in raw)
    smallest = min(range(6), key=lambda place: raw[place] or 1.0)
    assert accuracy.p[smallest] == pytest.approx(6 * (raw[smallest] or 0.0))
    assert all((a or 0) >= (b or 0) for a, b in zip(accuracy.p, raw, strict=True))


def test_no_effect_anywhere_finds_no_winner_in_19_of_20_sweeps() -> None:
    """Holm over the points: 20 sweeps of 6 points without an effect, seen at 5% each."""
    found = 0
    for number in range(20):
        points = [at({"data.limit": size, "x": number}, 0.0, items=100) for size in range(1, 7)]
        found += any(contests(points)[0].winner(place) for place in range(6))
    assert found <= 4, "P(more than 4 of 20 at 5%) is 0.3%"


def test_exponents_are_those_of_the_planted_law(grid: list[At]) -> None:
    some = [one for one in grid if one.settings["data.label_noise"] == 0.0]
    for quantity in (WALL_SECONDS, FLOPS):
        fit = exponent(some, "data.limit", "orpo", quantity)
        assert fit.value == pytest.approx(1.0)
        assert fit.low is not None
    assert exponent(some[:2], "data.limit", "orpo", FLOPS).reason == "fewer than 3 values have a cost"
    assert "not above 0" in str(exponent(grid, "data.label_noise", "orpo", FLOPS).reason)


def test_a_noisy_law_is_covered_by_its_interval() -> None:
    chance, covered = random.Random(1), 0
    for _ in range(40):
        points = [
            at({"data.limit": n}, 0.0, cost=n**1.3 * chance.lognormvariate(0, 0.1), items=2)
            for n in (10, 20, 40, 80, 160)
        ]
        fit = exponent(points, "data.limit", "orpo", FLOPS)
        assert fit.low is not None
        assert fit.high is not None
        covered += fit.low <= 1.3 <= fit.high
    assert covered >= 34


def test_the_report_shows_the_grid_the_curves_and_the_runs(grid: list[At]) -> None:
    report = sweep_report("made", FIELDS, grid)
    tables = {table.name: table for table in report.tables()}
    assert tables["phase_1"].columns == ("data.limit", "data.label_noise 0.0", "data.label_noise 0.5")
    assert [[cell.bold for cell in row[1:]] for row in tables["phase_1"].rows] == [[True, False]] * 3
    figures = {figure.name: figure for figure in report.figures()}
    marks = {series.label: len(series.x) for series in figures["phase"].panels[0].series}
    assert {label: count for label, count in marks.items() if count} == {"ORPO better": 3, "not separable": 3}
    assert len(figures["scaling_data_limit"].panels) == 2
    assert len(tables["points"].rows) == 6
    assert (
        "preference.accuracy, ORPO against SFT then DPO: of 6 points ORPO is better at 3, SFT then DPO at 0, "
        "not separable at 3." in report.summary
    )


def test_one_field_of_words_has_a_table_and_no_map() -> None:
    points = [at({"model": name}, 0.2) for name in ("a", "b")]
    report = sweep_report("made", ("model",), points)
    assert report.tables()[0].columns == ("model", "difference")
    assert not report.figures()
    assert numeric(["a", 1]) is None
    assert numeric([True, 1]) is None
