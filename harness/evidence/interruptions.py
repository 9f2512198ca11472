"""Work that interruptions cost, apart from the work that a stage is charged for."""

from __future__ import annotations

from collections.abc import Sequence

from harness.evidence.view import ComparisonView
from harness.quantities import INTERRUPTIONS, LOST_SECONDS
from harness.units import seconds


def interrupted(views: Sequence[ComparisonView]) -> list[str]:
    """That times are those of useful work, where training stages went on after an interruption."""
    stages = [stage for view in views for stage in view.trained_stages]
    broken = [stage for stage in stages if stage.measured(INTERRUPTIONS.name) is not None]
    if not broken:
        return []
    lost = sum(found.value or 0.0 for stage in broken if (found := stage.measured(LOST_SECONDS.name)))
    named = ", ".join(stage.name for stage in broken[:3]) + (", ..." if len(broken) > 3 else "")
    return [
        f"{len(broken)} of {len(stages)} training stages were interrupted and went on ({named}): times are "
        f"of useful work, and {seconds(lost)} of lost work are in none of them; what else the machine did "
        "was watched in the last attempt alone."
    ]
