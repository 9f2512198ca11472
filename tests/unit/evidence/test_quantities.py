"""The catalogue of quantities: every recorded figure has one title and one unit."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
from synthetic import make_record

from harness.quantities import (
    CATALOGUE,
    COST_NAMES,
    ENERGY,
    FLOPS,
    PEAK_MEMORY,
    WALL_SECONDS,
    cost_of,
    is_share,
    is_win_rate,
)

HARNESS = Path(__file__).parents[3] / "harness"


def test_names_are_keys_and_titles_are_told_apart() -> None:
    assert all(name == quantity.name for name, quantity in CATALOGUE.items())
    titles = [quantity.title for quantity in CATALOGUE.values()]
    assert len(titles) == len(set(titles))


def test_a_made_run_records_what_the_catalogue_says() -> None:
    for stage in make_record(full=True).results.values():
        for entry in stage.ledger:
            assert CATALOGUE[entry.quantity].unit == entry.unit, entry.quantity


def test_every_quantity_that_code_writes_by_name_is_in_the_catalogue() -> None:
    unknown = []
    for path in sorted(HARNESS.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "Measurement":
                for keyword in node.keywords:
                    if keyword.arg == "quantity" and isinstance(keyword.value, ast.Constant):
                        name = keyword.value.value
                        unknown += [] if name in CATALOGUE else [f"{path.name}: {name}"]
    assert unknown == []


def test_costs_add_up_but_for_memory() -> None:
    assert COST_NAMES == ("wall_seconds", "peak_memory_bytes", "flops", "energy_joules")
    assert [q.over_stages for q in (WALL_SECONDS, PEAK_MEMORY, FLOPS, ENERGY)] == ["sum", "max", "sum", "sum"]
    assert [q.timed for q in (WALL_SECONDS, PEAK_MEMORY, FLOPS, ENERGY)] == [True, False, False, True]


def test_costs_and_scores_are_told_apart() -> None:
    assert cost_of("cost.flops") is FLOPS
    assert cost_of("preference.accuracy") is None
    with pytest.raises(KeyError):
        cost_of("cost.walls")


@pytest.mark.parametrize(
    ("score", "share", "win"),
    [
        ("preference.accuracy", True, False),
        ("alpaca_eval@x.win_rate_vs_y", True, True),
        ("lm_eval/a.b.acc_norm", True, False),
        ("mt_bench.score", False, False),
    ],
)
def test_shares_are_shown_in_percent(score: str, share: bool, win: bool) -> None:
    assert (is_share(score), is_win_rate(score)) == (share, win)
