"""Which figures an inequality between arms touches, and how a report says so."""

from __future__ import annotations

from harness.evidence.view import ComparisonView
from harness.records import ParityCheck

MARK = " †"
SCORES = "scores"


def unequal(view: ComparisonView, quantity: str) -> list[ParityCheck]:
    """The checks that failed, were allowed to, and touch `quantity` (`scores` for any score)."""
    name = quantity.removeprefix("cost.")
    known = {touched for check in view.record.parity for touched in check.touches}
    wanted = name if name in known or not quantity_is_score(quantity) else SCORES
    return [c for c in view.record.parity if c.equal is False and wanted in c.touches]


def quantity_is_score(quantity: str) -> bool:
    """Whether this is a benchmark's metric and not a cost."""
    return not quantity.startswith("cost.") and "." in quantity


def marked(view: ComparisonView, text: str, quantity: str) -> str:
    """`text` with a dagger where arms were unequal in what it depends on."""
    return text + MARK if unequal(view, quantity) else text


def notes(view: ComparisonView, *quantities: str) -> tuple[str, ...]:
    """What the daggers of a table mean."""
    found = {c.check: c.detail for quantity in quantities for c in unequal(view, quantity)}
    if not found:
        return ()
    said = "; ".join(f"{name} ({detail})" for name, detail in found.items())
    return (f"{MARK.strip()} Arms were not on equal terms, which the comparison allowed: {said}.",)
