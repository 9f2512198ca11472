"""`harness calibrate`: are the intervals and tests of a report what they say?"""

from __future__ import annotations

from rich.progress import Progress
from rich.table import Table

from harness.evidence.statistics.calibration import calibrate
from harness.evidence.statistics.calibration_cases import (
    COVERAGE,
    MOST_FALSE,
    MOST_FALSE_MARGIN,
    MOST_REJECTIONS,
    POWER_WITHIN,
    Case,
)
from harness.terminal import PlainConsole


def run(simulations: int) -> int:
    """Print the grid; 1 where some cell does not hold."""
    console = PlainConsole()
    with Progress(console=console, transient=True) as progress:
        task = progress.add_task("simulating", total=None)
        cases = calibrate(simulations, lambda done, of: progress.update(task, completed=done, total=of))
    console.print(_table(cases, simulations))
    failed = [case for case in cases if not case.holds]
    low, high = COVERAGE
    console.print(
        f"{len(cases) - len(failed)} of {len(cases)} cells hold: rejections of an arm against itself at most "
        f"{MOST_REJECTIONS:.1%}; coverage {low:.0%} to {high:.0%}, or, where few items decide (wide), "
        f"at least {low:.0%}; power within {100 * POWER_WITHIN:.0f} points of 80%; false statements "
        f'in at most {MOST_FALSE:.0%} of families, {MOST_FALSE_MARGIN:.1%} for "not worse".',
        highlight=False,
    )
    return 1 if failed else 0


def _table(cases: list[Case], simulations: int) -> Table:
    """One row a cell; cells that do not hold are named."""
    table = Table(title=f"Up to {simulations:,} simulated comparisons a cell", box=None, title_justify="left")
    for heading in ("interval or test", "truth", "A/A rejected", "covered", "power", "printed", ""):
        table.add_column(heading)
    for case in cases:
        holds = "holds, wide" if case.wide else "holds"
        table.add_row(
            case.interval,
            case.setting,
            *("" if share is None else f"{share:.2%}" for share in (case.rejected, case.covered, case.power)),
            "" if case.printed == 1 else f"{case.printed:.0%}",
            holds if case.holds else "DOES NOT HOLD",
        )
    return table
