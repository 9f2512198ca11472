"""`harness collect`: goes on with a comparison whose jobs were left in a queue."""

from __future__ import annotations

import os
import shlex
import sys
from pathlib import Path

from harness.errors import UserError, unknown_name
from harness.executors.opening import jobs_in
from harness.running.unit_files import UNITS, AskedBy, asked_in
from harness.terminal import PlainConsole

OURS = "harness compare"


def run(name: str | None, *, out: Path) -> int:
    """Become the command that handed the jobs over: it finds them, takes what they finished, and does what
    only it does (what follows, judges, report, trackers). Never returns where there is one."""
    known = asked_in(out)
    if not known:
        raise UserError(
            "holds no comparison with jobs", where=str(out), remedy="name the folder of runs by --out"
        )
    if name is None and len(known) > 1:
        raise UserError(
            "several comparisons have jobs", where=str(out), remedy=f"name one of {', '.join(known)}"
        )
    chosen = name if name is not None else next(iter(known))
    if chosen not in known:
        raise unknown_name("comparison with jobs", chosen, known, where=str(out))
    console = PlainConsole()
    for line in jobs_in(out / UNITS).get(chosen, ["no job waits or runs"]):
        console.print(f"{chosen}: {line}")
    return _become(known[chosen], console)


def _become(asked: AskedBy, console: PlainConsole) -> int:
    if not asked.command.startswith(OURS):
        raise UserError(
            f"began from Python by {asked.command}", where="collect", remedy="call the same again there"
        )
    if not Path(asked.directory).is_dir():
        raise UserError(
            "the folder in which the command was given is gone",
            where=asked.directory,
            remedy=f"give it again where its files are: {asked.command}",
        )
    console.print(f"Goes on by: {asked.command} (in {asked.directory})", soft_wrap=True)
    sys.stdout.flush()
    os.chdir(asked.directory)
    os.execv(sys.executable, [sys.executable, "-m", "harness", *shlex.split(asked.command)[1:]])
