"""Are the intervals and tests what they say? Simulated comparisons of known truth, in bulk.

Every interval and test that a report prints has its rows here. Random numbers are seeded by the cell, so that
cells can be run apart and touch no global state.
"""

from __future__ import annotations

from collections.abc import Callable

from harness.evidence.statistics.calibration_aggregates import aggregate_cases
from harness.evidence.statistics.calibration_cases import SIMULATIONS, Case
from harness.evidence.statistics.calibration_family import family_cases
from harness.evidence.statistics.calibration_items import item_cases
from harness.evidence.statistics.calibration_length import length_cases
from harness.evidence.statistics.calibration_looks import looks_cases
from harness.evidence.statistics.calibration_meta import meta_cases
from harness.evidence.statistics.calibration_ranking import ranking_cases
from harness.evidence.statistics.calibration_seeds import seed_cases

FAMILIES = 5
"""A family's simulation is in Python, so that there are so many times fewer."""
AGGREGATES = 20
"""So is an aggregate's, over tables of items."""
JUDGED = 2
"""A judged set is fitted once a simulation, which takes longest: half as many."""


def calibrate(
    simulations: int = SIMULATIONS, progress: Callable[[int], None] = lambda done: None
) -> list[Case]:
    """Every cell of the grid."""
    cases: list[Case] = []
    for part in (
        seed_cases(simulations),
        item_cases(simulations),
        length_cases(simulations // JUDGED),
        ranking_cases(simulations // JUDGED),
        meta_cases(simulations),
        aggregate_cases(simulations // AGGREGATES),
        looks_cases(simulations // FAMILIES),
        family_cases(simulations // FAMILIES),
    ):
        for case in part:
            cases.append(case)
            progress(len(cases))
    return cases
