"""Which figures an inequality between arms touches, and how a report says so."""

from __future__ import annotations

from harness.evidence.view import ComparisonView
from harness.quantities import CATALOGUE, COST
from harness.records import ParityCheck

MARK = " †"
SCORES = "scores"


def unequal(view: ComparisonView, quantity: str) -> list[ParityCheck]:
    """The checks that failed, were allowed to, and touch a quantity; `scores` are touched as one."""
    name = quantity.removeprefix(COST)
    touched = name if name in CATALOGUE else SCORES
    return [check for check in view.record.parity if check.equal is False and touched in check.touches]


def marked(view: ComparisonView, text: str, quantity: str) -> str:
    """`text` with a dagger where arms were unequal in what it depends on."""
    return text + MARK if unequal(view, quantity) else text


def notes(view: ComparisonView, *quantities: str) -> tuple[str, ...]:
    """What the daggers of a table mean."""
    touching = {check.check: check for quantity in quantities for check in unequal(view, quantity)}
    if not touching:
        return ()
    listed = "; ".join(f"{name} ({check.detail})" for name, check in touching.items())
    allowed = ", which the comparison allowed" if all(c.allowed for c in touching.values()) else ""
    return (f"{MARK.strip()} Arms were not on equal terms{allowed}: {listed}.",)
