"""What an arm costs alone, where its first stage is shared, and in the user's money and CO2."""

from __future__ import annotations

from collections.abc import Sequence

from harness.evidence.arms import method_title, training_stages
from harness.evidence.cells import cost_cell
from harness.evidence.costs import BY_KIND, arm_cost, charged_value, cost_title, counts
from harness.evidence.primary import Primary
from harness.evidence.view import ComparisonView
from harness.measure.factors import Factors, co2_grams, money
from harness.quantities import COSTS, ENERGY, WALL_SECONDS, Quantity
from harness.tables import Cell, Table

SHARED = tuple(quantity for quantity in COSTS if quantity.over_stages == "sum")


def sharing_table(view: ComparisonView, pair: Primary | None) -> Table | None:
    """Arms of several stages: alone, the first stage split over the arms that use it, and without it.

    The single-stage arm of the primary contrast stands beside them. None where no arm has a second stage.
    """
    several = [arm for arm in view.arms if len(training_stages(view, arm)) > 1]
    if not several:
        return None
    single = [arm for arm in ((pair.a, pair.b) if pair else ()) if arm not in several][:1]
    rows = tuple(_row(view, arm, quantity, single) for arm in several for quantity in SHARED)
    first = _common_title(view, several)
    columns = (
        "arm",
        "quantity",
        "alone",
        f"{first} split",
        f"{first} at no cost",
        f"{first} split over",
        *single,
    )
    note = (
        f"Alone is what every other table shows. Split: one {first} serves all arms of this comparison that "
        f"go on from it. At no cost: what the {first} makes is there already. Means over seeds."
    )
    return Table("sharing", f"One {first} for several arms", columns, rows, (note,))


def _common_title(view: ComparisonView, arms: Sequence[str]) -> str:
    """The title of the arms' first stages where they have one title."""
    titles = {method_title(view, training_stages(view, arm)[0]) for arm in arms}
    return titles.pop() if len(titles) == 1 else "first stage"


def _row(view: ComparisonView, arm: str, quantity: Quantity, single: Sequence[str]) -> tuple[Cell, ...]:
    users = _users(view, training_stages(view, arm)[0].digest)
    alone, first = arm_cost(view, arm, quantity), _first_stage(view, arm, quantity)
    cells = [cost_cell(view, arm, quantity)]
    for share in (1 / len(users), 0.0):
        value = None if alone.value is None or first is None else alone.value - (1 - share) * first
        reason = alone.reason or "not measured"
        cells.append(Cell(value, quantity.kind, reason=reason, sources=alone.sources))
    beside = (cost_cell(view, other, quantity) for other in single)
    return (Cell(arm), Cell(cost_title(view, quantity)), *cells, Cell(", ".join(users)), *beside)


def _users(view: ComparisonView, digest: str) -> list[str]:
    """Arms that go on from the stage; an arm that ends with it is not among them."""
    cells = view.record.plan.cells
    return list(dict.fromkeys(cell.arm for cell in cells if digest in cell.stages[:-1]))


def _first_stage(view: ComparisonView, arm: str, quantity: Quantity) -> float | None:
    """The first stage's figure, mean over seeds and repeats; None where some cell lacks it."""
    cells = [cell for cell in view.blocks_of(arm) if counts(view, cell, quantity)]
    figures = [charged_value(view.stages_of(cell)[0], quantity) for cell in cells]
    known = [figure for figure in figures if figure is not None]
    return sum(known) / len(known) if known and len(known) == len(figures) else None


def prices_table(view: ComparisonView) -> Table | None:
    """Money and CO2 of each arm by the comparison's `factors`; None where it gives none."""
    given = {k: v for k, v in (view.record.plan.spec.get("factors") or {}).items() if v is not None}
    if not given:
        return None
    factors = Factors(**given)
    stated = ", ".join(f"{name} {value}" for name, value in given.items())
    note = f"By the user's factors: {stated}. One training of each arm, mean over seeds."
    columns = ("arm", f"money ({factors.currency or 'currency not given'})", "CO2 (g)")
    rows = tuple(_prices(view, arm, factors) for arm in view.arms)
    return Table("prices", "Money and CO2", columns, rows, (note,))


def _prices(view: ComparisonView, arm: str, factors: Factors) -> tuple[Cell, ...]:
    seconds, joules = (arm_cost(view, arm, quantity) for quantity in (WALL_SECONDS, ENERGY))
    price, no_price = money(seconds.value, joules.value, joules.reason, factors)
    if seconds.reason == BY_KIND:
        return Cell(arm), *(Cell(None, reason=BY_KIND) for _ in range(2))
    grams, no_grams = co2_grams(joules.value, joules.reason, factors)
    return (
        Cell(arm),
        Cell(price, "number", digits=4, reason=no_price, sources=seconds.sources),
        Cell(grams, "number", digits=2, reason=no_grams, sources=seconds.sources),
    )
