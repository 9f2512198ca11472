"""`harness beside`: a published table of arms, with this run's own figures under each row."""

from __future__ import annotations

from pathlib import Path

from harness.commands.view import open_run
from harness.evidence.documents.beside import beside_table
from harness.pipeline.published import load_published
from harness.running.fitting import print_for_readers
from harness.terminal import PlainConsole


def run(run_name: str, *, table: str, out: Path) -> int:
    """Print the table; the published one is read first, so that a wrong name costs nothing."""
    published = load_published(table)
    _, view = open_run(run_name, out)
    print_for_readers(beside_table(view, published), PlainConsole())
    return 0
