"""The queues of a run root on their way: what earlier commands left goes first, then this command's own."""

from __future__ import annotations

import time
from pathlib import Path

from rich.console import Console

from harness.evidence.next_steps import out_flag
from harness.records import ComparisonRecord
from harness.running import journal
from harness.running.delivery import Delivery
from harness.running.outbox import Outbox, in_words
from harness.running.told import Completes
from harness.store.run_dir import RunRoot
from harness.tracking import load_tracker

SYNC = "harness sync"
WRITE_SECONDS = 60.0


def left(name: str, root: RunRoot, run: str | None = None) -> list[Delivery]:
    """What earlier commands could not tell the tracker `name`, of all comparisons or of `run`.

    What another process delivers at this moment is left to it.
    """
    found = []
    for path in journal.paths(root.path, name):
        queue = journal.opened(path)
        if queue is None:
            continue
        if run is not None and run not in queue.contexts()[1].comparisons:
            queue.close()
            continue
        now_ms = int(time.time() * 1000)
        found.append(Delivery.resumed(queue, load_tracker(name).open_tracker, root, now_ms))
    return found


def outbox(name: str, root: RunRoot, project: str, console: Console) -> Outbox:
    """A tracker that is told what was left, and after it what this command tells of `project`."""
    own = Delivery(journal.new(root.path, name, project), load_tracker(name).open_tracker, root)
    return Outbox(name, [*left(name, root), own], lambda text: say(console, text))


def write(
    name: str, record: ComparisonRecord, root: RunRoot, report_folder: Path | None, console: Console
) -> bool:
    """Tell one tracker of a finished run, also a second time; False, with a warning, where that waits.

    The record is read from `root`, also when it waits for a later command.
    """
    try:
        box = outbox(name, root, record.name, console)
        box.tell(Completes(record.id, report_in(root, report_folder)))
    except OSError as error:
        again = load_tracker(name).WRITE_AGAIN
        say(console, f"{name} was not written ({in_words(error)}). Write it again: {again}")
        return False
    box.close(WRITE_SECONDS)
    account(box, root, console)
    return not box.waiting and box.error is None


def account(box: Outbox, root: RunRoot, console: Console) -> None:
    """Say what became of a tracker that failed."""
    if box.refused is not None:
        say(console, f"{box.name} does not take all of it ({in_words(box.refused)}); the run folder has it.")
    if box.waiting:
        why = f" ({in_words(box.error)})" if box.error else ""
        say(
            console,
            f"{box.name} lacks {box.waiting} item(s){why}; they wait in {root.path / journal.FOLDER}. "
            f"The next command here delivers them, or: {command(root)}",
        )
    elif box.failures:
        say(console, f"{box.name} failed {box.failures} time(s), and holds all of it now.")


def command(root: RunRoot) -> str:
    """What delivers the queues of this root."""
    return f"{SYNC}{out_flag(root.path)}"


def report_in(root: RunRoot, report: Path | None) -> str | None:
    """Where a report lies in the run root; as it is, where it lies elsewhere."""
    if report is None:
        return None
    try:
        return str(report.resolve().relative_to(root.path.resolve()))
    except ValueError:
        return str(report.resolve())


def say(console: Console, text: str) -> None:
    """A warning."""
    console.print(text, style="yellow", highlight=False, markup=False, soft_wrap=True)
