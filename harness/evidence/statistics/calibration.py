"""Are the intervals and tests what they say? Simulated comparisons of known truth, in bulk.

Every interval and test that a report prints has its rows here. Random numbers are seeded by the cell, so that
cells can be run apart, in processes of their own, and touch no global state.
"""

from __future__ import annotations

import contextlib
import multiprocessing
from collections.abc import Callable, Iterable
from functools import partial

from harness.evidence.statistics.calibration_aggregates import aggregate_cases
from harness.evidence.statistics.calibration_cases import SIMULATIONS, Case, Cell, simulated
from harness.evidence.statistics.calibration_family import family_cases
from harness.evidence.statistics.calibration_items import item_cases
from harness.evidence.statistics.calibration_kinds import kind_cases
from harness.evidence.statistics.calibration_length import length_cases
from harness.evidence.statistics.calibration_looks import looks_cases
from harness.evidence.statistics.calibration_meta import meta_cases
from harness.evidence.statistics.calibration_ranking import ranking_cases
from harness.evidence.statistics.calibration_seeds import seed_cases
from harness.evidence.statistics.calibration_tuning import tuning_cases

FAMILIES = 5
"""A family's simulation is in Python, so that there are so many times fewer."""
AGGREGATES = 20
"""So is an aggregate's, over tables of items."""
SEARCHES = 40
"""So is a search, of which 2,000 distribution functions are held against it."""
JUDGED = 2
"""A judged set is fitted once a simulation, which takes longest: half as many."""


Progress = Callable[[int, int], None]
"""Told how many cells of the grid are done, and how many there are."""


def cells(simulations: int) -> list[Cell]:
    """The grid, not yet simulated."""
    return [
        *seed_cases(simulations),
        *item_cases(simulations),
        *length_cases(simulations // JUDGED),
        *ranking_cases(simulations // JUDGED),
        *meta_cases(simulations),
        *kind_cases(simulations),
        *aggregate_cases(simulations // AGGREGATES),
        *tuning_cases(simulations // SEARCHES),
        *looks_cases(simulations // FAMILIES),
        *family_cases(simulations // FAMILIES),
    ]


def calibrate(
    simulations: int = SIMULATIONS, progress: Progress = lambda done, of: None, processes: int | None = None
) -> list[Case]:
    """Every cell of the grid, over so many processes: one a core unless told; one alone is this one."""
    total, at = len(cells(simulations)), partial(_at, simulations)
    cases: list[Case] = []
    with contextlib.ExitStack() as opened:
        every: Callable[..., Iterable[list[Case]]] = map
        if processes != 1:
            every = opened.enter_context(multiprocessing.get_context("spawn").Pool(processes)).imap
        for done, found in enumerate(every(at, range(total)), 1):
            cases += found
            progress(done, total)
    return cases


def _at(simulations: int, place: int) -> list[Case]:
    """A process builds the grid itself, since cells hold functions that cannot be handed over."""
    return simulated([cells(simulations)[place]])
