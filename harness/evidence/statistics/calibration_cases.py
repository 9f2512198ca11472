"""What a cell of the calibration grid found, and whether that holds."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass

SIMULATIONS = 20_000
MOST_REJECTIONS = 0.055
COVERAGE = (0.93, 0.97)
POWER_WITHIN = 0.03
MOST_FALSE = 0.05
MOST_FALSE_MARGIN = 0.025


@dataclass(frozen=True)
class Case:
    """One cell: an interval or test, the truth that it was tried on, and shares over the simulations.

    `covered` by the 95% interval, `rejected` though nothing differed, `power` at the effect that should be
    found in 80%. `printed` is how often there was an interval at all; where that is below 1, `covered`
    counts a refusal as no miss. `wide` marks cells in which so few items decide that no interval can be
    exact: there it may cover more than 97%, and never less than 93%. `most_rejected` is the limit of
    `rejected`, `simulations` how many there were: 97% is held but for three standard errors of them.
    """

    interval: str
    setting: str
    covered: float | None = None
    rejected: float | None = None
    power: float | None = None
    printed: float = 1.0
    wide: bool = False
    most_rejected: float = MOST_REJECTIONS
    simulations: int = SIMULATIONS

    @property
    def holds(self) -> bool:
        """Whether the interval is what it says, within the limits of the grid."""
        low, high = COVERAGE
        highest = 1.0 if self.wide or self.printed < 1 else with_noise(high, self.simulations)
        covered = self.covered is None or low <= self.covered <= highest
        rejected = self.rejected is None or self.rejected <= self.most_rejected
        return covered and rejected and (self.power is None or abs(self.power - 0.8) <= POWER_WITHIN)


Cell = Callable[[], Case | Iterable[Case]]
"""Simulates a cell of the grid, or a few that share their simulations."""


def simulated(cells: Iterable[Cell]) -> list[Case]:
    """What they found, in order."""
    found = [cell() for cell in cells]
    return [case for one in found for case in ([one] if isinstance(one, Case) else one)]


def with_noise(share: float, simulations: int) -> float:
    """`share` with three standard errors of a share over so many simulations."""
    return share + 3 * math.sqrt(share * (1 - share) / simulations)
