"""The trained cells of a finished run, by arm and seed. Pure."""

from __future__ import annotations

from harness.errors import UserError, unknown_name
from harness.records import ComparisonRecord, PlannedCell


def cells_of_arm(record: ComparisonRecord, arm: str | None) -> dict[int, PlannedCell]:
    """By seed, in the plan's order; repeats are no models of their own.

    Raises UserError for a run that trained nothing, and for no arm or one that the run has not.
    """
    cells = [cell for cell in record.plan.cells if cell.repeat == 0 and cell.stages]
    arms = list(dict.fromkeys(cell.arm for cell in cells))
    if record.plan.spec.get("replayed") or not cells:
        raise UserError(
            "was read from published results, and trained nothing",
            where=record.id,
            remedy="give a run of harness compare",
        )
    if arm is None:
        raise UserError("no arm named", where="--arm", remedy=f"give one of: {', '.join(arms)}")
    if arm not in arms:
        raise unknown_name("arm", arm, arms, where="--arm")
    return {cell.seed: cell for cell in cells if cell.arm == arm}
