"""How much, in words: amounts of a difference in the unit of their quantity."""

from __future__ import annotations

from typing import Literal

from harness.evidence.statistics.verdict import Outcome, Verdict
from harness.quantities import cost_of, is_share
from harness.tables import Cell
from harness.units import plain, significant

Unit = Literal["points", "percent", "number"]
"""Points of a share, percent of a cost, or a score's own."""
EQUAL_COST = Verdict(Outcome.IDENTICAL, Outcome.EQUAL.value)
"""Costs are equal where items would be identical."""


def unit_of(quantity: str) -> Unit:
    """The unit that differences of a score, or margins of a cost, are told in."""
    if cost_of(quantity) is not None:
        return "percent"
    return "points" if is_share(quantity) else "number"


def amount(unit: Unit, value: float) -> str:
    """`5.00 points`, `5.0%` or `0.05`."""
    return significant(value) if unit == "number" else plain(Cell(value, unit))


def smallest_detectable(unit: Unit, value: float | None) -> str | None:
    """The smallest detectable difference, of a cost the ratio, in words; None where there is none."""
    if value is None:
        return None
    return f"smallest detectable {amount(unit, value - 1 if unit == 'percent' else value)}"
