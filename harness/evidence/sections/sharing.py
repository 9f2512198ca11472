"""What an arm costs alone, where its SFT is shared, and in the user's money and CO2."""

from __future__ import annotations

from harness.evidence.costs import arm_cost
from harness.evidence.view import ComparisonView
from harness.measure.factors import Factors, co2_grams, money
from harness.records import StageResult
from harness.tables import Cell, CellKind, Table

SHARED: dict[str, tuple[str, CellKind]] = {
    "wall_seconds": ("training time", "seconds"),
    "flops": ("FLOPs", "flops"),
    "energy_joules": ("energy", "joules"),
}


def sharing_table(view: ComparisonView) -> Table | None:
    """Arms with an SFT stage before another: alone, SFT split over the arms that use it, and without.

    None where no arm goes on from an SFT stage.
    """
    rows = []
    for arm in view.arms:
        stages = view.stages_of(view.cells_of(arm)[0])
        if len(stages) < 2:
            continue
        users = _users(view, stages[0].digest)
        for quantity, (title, kind) in SHARED.items():
            alone = arm_cost(view, arm, quantity)
            first = _first_stage(view, arm, quantity)
            cells = [Cell(alone.value, kind, reason=alone.reason, sources=alone.sources)]
            for share in (1 / len(users), 0.0):
                value = None if alone.value is None or first is None else alone.value - (1 - share) * first
                cells.append(Cell(value, kind, reason=alone.reason or "not measured", sources=alone.sources))
            rows.append((Cell(arm), Cell(title), *cells, Cell(", ".join(users)), _against(view, quantity)))
    if not rows:
        return None
    columns = ("arm", "quantity", "alone", "SFT split", "SFT at no cost", "SFT split over", "orpo")
    note = (
        "Alone is what every other table shows. Split: one SFT serves all arms of this comparison that "
        "go on from it. At no cost: the SFT model is there already. Means over seeds."
    )
    return Table("sharing", "One SFT for several arms", columns, tuple(rows), (note,))


def _users(view: ComparisonView, digest: str) -> list[str]:
    """Arms that go on from the stage; the SFT arm itself ends with it."""
    cells = view.record.plan.cells
    return list(dict.fromkeys(c.arm for c in cells if digest in c.stages[:-1]))


def _first_stage(view: ComparisonView, arm: str, quantity: str) -> float | None:
    found: list[float] = []
    for cell in view.blocks_of(arm):
        stage: StageResult = view.stages_of(cell)[0]
        measured = stage.measured(quantity)
        if measured is None or measured.value is None:
            return None
        found.append(float(measured.value))
    return sum(found) / len(found)


def _against(view: ComparisonView, quantity: str) -> Cell:
    if "orpo" not in view.arms:
        return Cell(None, reason="orpo is not in this comparison")
    cost = arm_cost(view, "orpo", quantity)
    return Cell(cost.value, SHARED[quantity][1], reason=cost.reason, sources=cost.sources)


def prices_table(view: ComparisonView) -> Table | None:
    """Money and CO2 of each arm by the comparison's `factors`; None where it gives none."""
    given = {k: v for k, v in (view.record.plan.spec.get("factors") or {}).items() if v is not None}
    if not given:
        return None
    factors = Factors(**given)
    rows = []
    for arm in view.arms:
        seconds, joules = (arm_cost(view, arm, quantity) for quantity in ("wall_seconds", "energy_joules"))
        price, no_price = money(seconds.value, joules.value, joules.reason, factors)
        grams, no_grams = co2_grams(joules.value, joules.reason, factors)
        sources = seconds.sources
        rows.append(
            (
                Cell(arm),
                Cell(price, "number", digits=4, reason=no_price, sources=sources),
                Cell(grams, "number", digits=2, reason=no_grams, sources=sources),
            )
        )
    stated = ", ".join(f"{name} {value}" for name, value in given.items())
    note = f"By the user's factors: {stated}. One training of each arm, mean over seeds."
    columns = ("arm", f"money ({factors.currency or 'currency not given'})", "CO2 (g)")
    return Table("prices", "Money and CO2", columns, tuple(rows), (note,))
