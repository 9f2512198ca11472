"""`harness diff`: what changed between two runs, and what came of it."""

from __future__ import annotations

from pathlib import Path

from rich.table import Table

from harness.commands.view import open_run
from harness.evidence.documents.differences import Difference, differences
from harness.terminal import PlainConsole


def run(a: str, b: str, *, out: Path) -> int:
    """Print the differences in settings, surroundings and results."""
    console = PlainConsole()
    (_, left), (_, right) = open_run(a, out), open_run(b, out)
    changes = differences(left, right)
    if not changes:
        console.print("The two runs are equal in settings, surroundings and results.")
        return 0
    for group in dict.fromkeys(one.group for one in changes):
        console.print(
            _table(group, [one for one in changes if one.group == group], left.record.id, right.record.id)
        )
    return 0


def _table(group: str, changes: list[Difference], a: str, b: str) -> Table:
    table = Table(title=group, box=None, title_justify="left")
    for heading in ("what", a, b):
        table.add_column(heading, overflow="fold")
    for one in changes:
        table.add_row(one.name, one.a, one.b)
    return table
