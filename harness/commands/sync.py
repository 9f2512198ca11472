"""`harness sync`: what trackers did not take while a comparison ran, delivered now."""

from __future__ import annotations

import os
from pathlib import Path

from rich.console import Console

from harness.errors import UserError
from harness.running import journal
from harness.running.outbox import Outbox, in_words
from harness.running.queues import left, say
from harness.store.run_dir import RunRoot
from harness.tracking import check_installed

MOST_SECONDS = 86_400.0
PATIENCE_SECONDS = 60.0
"""With a tracker that takes nothing at all."""


def run(run_name: str | None, *, out: Path) -> int:
    """Deliver what waits in `out`, or what waits of one run; raises UserError where a tracker fails."""
    root, console = RunRoot(out), Console()
    if not out.is_dir():
        raise UserError("no such folder of runs", where=str(out), remedy="give it by --out")
    name = (out / run_name).resolve().name if run_name else None
    waiting = journal.paths(out)
    trackers = sorted({path.parent.name for path in waiting})
    check_installed(trackers)
    # Nothing waits for this command, so a slow server gets its time.
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "60")
    failures = [failure for tracker in trackers if (failure := _deliver(tracker, root, name, console))]
    if failures:
        raise UserError(
            "; ".join(failures),
            where=str(out / journal.FOLDER),
            remedy="it still waits there; try again when the tracker is up, or remove it to forget it",
        )
    if not waiting:
        console.print("Nothing waits.", highlight=False)
    return 0


def _deliver(tracker: str, root: RunRoot, run_name: str | None, console: Console) -> str | None:
    """One tracker's queues; what went wrong in words, or None."""
    found = left(tracker, root, run_name)
    others = len(journal.paths(root.path, tracker)) - len(found)
    if others and run_name is None:
        say(console, f"{tracker}: {others} queue(s) are left to the command that still runs here.")
    waited = sum(one.journal.waiting() for one in found)
    if not found:
        console.print(f"{tracker}: nothing waits{f' of {run_name}' if run_name else ''}.", highlight=False)
        return None
    box = Outbox(tracker, found, lambda text: None, patience=PATIENCE_SECONDS)
    box.close(MOST_SECONDS)
    console.print(f"{tracker}: {waited - box.waiting} item(s) delivered.", highlight=False)
    if box.refused is not None:
        say(console, f"{tracker} does not take all of it ({in_words(box.refused)}); the run folder has it.")
    if box.error is None:
        return None
    return f"{tracker} does not take {box.waiting} item(s) ({in_words(box.error)})"
