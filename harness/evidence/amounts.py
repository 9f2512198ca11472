"""How much, in words: amounts of a difference in the unit of their quantity."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from harness.evidence.statistics.verdict import Outcome, Verdict
from harness.quantities import cost_of, is_share
from harness.tables import Cell
from harness.units import plain, significant

Unit = Literal["points", "percent", "number"]
"""Points of a share, percent of a cost, or a score's own."""
TENFOLD = 10.0
"""The ratio of costs beyond which it is not told."""
BEYOND: dict[Unit, str] = {
    "points": "more than it can differ",
    "percent": "more than tenfold",
    "number": "more than its values span",
}
DETECTABLE = (
    "Minimum detectable effect: the true difference that one test alone finds with 80% power at this n. "
    "Beyond what the quantity can differ by (100 points; the span of a score's values, zero among them; a "
    "tenfold cost) it is only said to be more."
)
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


def detectable_effect(unit: Unit, value: float | None, reach: float) -> str | None:
    """The smallest detectable difference, of a cost the ratio, in words; None where there is none.

    Beyond `reach`, the largest that the quantity can have, no amount is told: a share cannot differ by 180
    points, whatever would be found.
    """
    if value is None:
        return None
    if value > reach:
        return f"minimum detectable effect: {BEYOND[unit]}"
    return f"minimum detectable effect {amount(unit, value - 1 if unit == 'percent' else value)}"


def span(values: Iterable[float]) -> float:
    """How far values lie apart, zero among them: what a score without bounds is taken to differ by."""
    known = [0.0, *values]
    return max(known) - min(known)
