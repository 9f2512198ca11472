"""`harness calibrate`: are the intervals and tests of a report what they say?"""

from __future__ import annotations

from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from harness.evidence.statistics.calibration import COVERAGE, MOST_REJECTIONS, POWER_WITHIN, Case, calibrate


def run(simulations: int) -> int:
    """Print the grid; 1 where some cell does not hold."""
    console = Console()
    with Progress(console=console, transient=True) as progress:
        task = progress.add_task("simulating", total=None)
        cases = calibrate(simulations, lambda done, total: progress.update(task, completed=done, total=total))
    console.print(_table(cases, simulations))
    failed = [case for case in cases if not case.holds]
    low, high = COVERAGE
    console.print(
        f"{len(cases) - len(failed)} of {len(cases)} cells hold: rejections of an arm against itself at most "
        f"{MOST_REJECTIONS:.1%}, coverage {low:.0%} to {high:.0%}, power within {100 * POWER_WITHIN:.0f} "
        "points of 80%.",
        highlight=False,
    )
    return 1 if failed else 0


def _table(cases: list[Case], simulations: int) -> Table:
    table = Table(title=f"{simulations:,} simulated comparisons a cell", box=None, title_justify="left")
    for heading in (
        "interval about",
        "seeds",
        "variance of seeds / items",
        "A/A rejected",
        "covered",
        "power",
    ):
        table.add_column(heading)
    table.add_column("")
    for case in cases:
        table.add_row(
            case.target,
            str(case.seeds),
            f"{case.ratio:g}",
            f"{case.rejected:.2%}",
            f"{case.covered:.2%}",
            "" if case.power is None else f"{case.power:.1%}",
            "holds" if case.holds else "DOES NOT HOLD",
        )
    return table
