"""`harness status`: what a comparison does, how far it is, whether it is healthy; from another terminal."""

from __future__ import annotations

import shutil
import time
from datetime import UTC, datetime
from pathlib import Path

from rich.text import Text

from harness.errors import UserError
from harness.executors.opening import jobs_in
from harness.running.health import Seen, Sign, signs
from harness.running.lines import clock, duration, place, rates, stage_facts, whole_facts
from harness.running.status import Status, all_statuses, is_alive, read_status, running_stages
from harness.running.unit_files import UNITS
from harness.store.run_dir import RunRoot
from harness.terminal import PlainConsole


def run(run_name: str | None, *, out: Path) -> int:
    """Print the run's status; without a name that of the one that told last. 0 where it is healthy, else 1.

    Raises UserError where no run of that name has a status.
    """
    status = _find(run_name, out)
    alive = is_alive(status.process)
    # A process that is gone may have run before the machine's steady clock began anew.
    uptime = time.monotonic() if alive else None
    seen = Seen(datetime.now(UTC), alive, shutil.disk_usage(out).free, uptime)
    found = signs(status, seen)
    console = PlainConsole()
    jobs = [("job", f"{name}: {told}") for name, all_ in jobs_in(out / UNITS).items() for told in all_]
    for name, text in [*_facts(status, seen), *jobs, *((sign.name, _marked(sign)) for sign in found)]:
        console.print(_line(name, text), soft_wrap=not console.is_terminal)
    return 0 if all(sign.well for sign in found) else 1


def _find(name: str | None, out: Path) -> Status:
    known = all_statuses(out)
    if name is None:
        if known:
            return known[0]
        raise UserError(
            "no comparison has run here", where=str(out), remedy="name its folder of runs by --out"
        )
    for folder in (RunRoot(out).run_folder(name), Path(name)):
        status = read_status(folder)
        if status is not None:
            return status
    listed = ", ".join(status.id for status in known)
    raise UserError(
        f'no run "{name}" with a status', where=str(out), remedy=f"known: {listed}" if listed else "run one"
    )


def _facts(status: Status, seen: Seen) -> list[tuple[str, str]]:
    """What runs, how far, and what was said last."""
    running = status.state == "running" and seen.alive is not False
    state = status.state if running or status.state != "running" else "killed"
    facts = [("run", status.id), ("state", f"{state}, began {clock(status.began_at, seen.now)}")]
    facts += [("stages", f"{status.done} of {status.stages} finished")]
    for stage in running_stages(status):
        told = stage_facts(stage) if running else stage_facts(stage)[:1]
        facts += [("now" if running else "was at", f"{place(status, stage)}: {', '.join(told)}")]
        facts += [("on", stage.place)] if stage.place is not None else []
        facts += [("rates", ", ".join(rates(stage)))] if rates(stage) else []
    if running and status.stage is None:
        facts += [("now", status.does)]
    if running and whole_facts(status):
        facts += [("time left", ", ".join(whole_facts(status)))]
    if not running:
        facts += [("last told", f"{duration(seen.since(status.updated_at, status.updated_uptime))} ago")]
    return [*facts, *([("said", status.message)] if status.message and running else [])]


def _marked(sign: Sign) -> str:
    return sign.text if sign.well else f"{sign.text}  <- not well"


def _line(name: str, text: str) -> Text:
    return Text(f"{name:>12}  {text}")
