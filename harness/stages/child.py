"""One stage in a process of its own: `python -m harness.stages.child FOLDER [PROGRESS_FD [LIFELINE_FD]]`.

Reads `request.json`; writes `result.json` when all is done, or `error.json`, never both. With a lifeline it
ends when its parent does. A stage on several devices has a process a device: the first starts the others,
unless torchrun or `accelerate launch` has started this module as often. The others write no result.
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import importlib
import logging
import os
import signal
import sys
import time
import traceback
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import FrameType
from typing import Literal, NoReturn

from harness import full_disk
from harness.artifacts import written
from harness.at_work import AT_WORK, working_in
from harness.errors import Diverged, UserError
from harness.measure.conditions import ConditionsMeter, cpu_seconds_of
from harness.measure.energy import EnergyMeter
from harness.measure.nvml import open_nvml
from harness.measure.ranks import ALONE, Ranks, SharedClock, ranks_here
from harness.measure.window import Window
from harness.records import Measurement, StageError, StageRequest, StageResult
from harness.redact import RedactedStream, redact
from harness.sealed import write_sealed
from harness.stages import memory_limit
from harness.stages.context import Context, Outcome, ProgressPipe, Reporter
from harness.stages.ledger import charged_notes, clock_ledger, energy_ledger
from harness.stages.lifeline import end_with_parent
from harness.stages.others import Others, error_of, gather_ranks
from harness.stages.shares import add_joules, device_ledger, highest
from harness.stages.vigil import start_beating
from harness.whole_file import write_atomically


def main(arguments: list[str]) -> int:
    """Run the stage of `arguments[0]`; the exit code is 0, 2 (user error), 1 or 130."""
    folder = Path(arguments[0])
    by_command = len(arguments) > 1 and arguments[1] != ""
    pipe, others = ProgressPipe(int(arguments[1]) if by_command else None), Others(folder, 1)
    signal.signal(signal.SIGTERM, _interrupt)
    start_beating(pipe)
    if len(arguments) > 2:
        end_with_parent(int(arguments[2]))
    _pass_on_what_is_said(pipe)
    try:
        request = StageRequest.model_validate_json((folder / "request.json").read_text())
        others = gather_ranks(request, folder, by_command=by_command)
        ranks = ranks_here()
        with working_in(folder) if ranks.first else contextlib.nullcontext():
            result = run_stage(request, folder, pipe, ranks)
            if result is not None:
                write_sealed(folder / "result.json", result)
        if ranks.together:
            # It ended early, while the others still wait for it.
            others.end()
        others.leave()
        return 0
    except UserError as error:
        _fail(
            folder,
            StageError(
                kind="user", message=str(error), fact=error.fact, remedy=error.remedy, where=error.where
            ),
        )
        return 2
    except KeyboardInterrupt:
        _fail(folder, StageError(kind="interrupted", message="interrupted"))
        return 130
    except Diverged as error:
        _fail(folder, StageError(kind="diverged", message=str(error)))
        return 1
    except Exception as error:
        if full_disk.says_full(error):
            return full_disk.EXIT_CODE
        traceback.print_exc()
        if (blamed := others.blame()) is not None:
            _fail(folder, blamed)
            return 1
        kind: Literal["out_of_memory", "failure"] = "out_of_memory" if _is_full(error) else "failure"
        _fail(folder, StageError(kind=kind, message=redact(f"{type(error).__name__}: {error}")))
        return 1
    finally:
        others.end()


def run_stage(
    request: StageRequest, folder: Path, pipe: ProgressPipe, ranks: Ranks = ALONE
) -> StageResult | None:
    """Import what the stage needs, start the meters, do the work, collect the figures; a rank other than 0
    has told its own and gives None."""
    from harness.measure.environment import collect
    from harness.measure.memory import MemoryMeter

    spawned = float(os.environ.get("HARNESS_SPAWNED_AT", time.monotonic()))
    pipe.send({"phase": "start-up"})
    module = importlib.import_module(f"harness.stages.{request.kind}")
    device = module.warm_up(request)
    ranks.join()
    pids = ranks.told(os.getpid())
    memory, energy = MemoryMeter(device=device), EnergyMeter(device=device)
    clock = None if ranks.alone else SharedClock(ranks)
    window = Window(
        clock=clock, energy=energy.read, peaks=memory, tell=lambda phase: pipe.send({"phase": phase})
    )
    ranks.phase = lambda: window.current
    own_cpu = None if ranks.alone else functools.partial(cpu_seconds_of, pids)
    conditions = ConditionsMeter(gpu=open_nvml()[0] if device == "cuda" else None, own_cpu=own_cpu)
    start_up = time.monotonic() - spawned
    started, began = datetime.now(UTC), time.monotonic()
    memory.start()
    with _metered(energy, conditions):
        report = Reporter(pipe, memory.lately, folder / AT_WORK)
        context = Context(request, folder, window, memory, energy, conditions, report, ranks)
        outcome: Outcome = module.run(context)
    noticed = conditions.stop()
    if not ranks.first:
        return None
    window.seconds["start_up"] = start_up
    add_joules(window, context.shares[1:])
    ledger = [*clock_ledger(window, request.kind), *device_ledger(window, context.shares), *outcome.ledger]
    ledger += highest(memory.measurements(), context.shares)
    ledger += [*noticed.measurements(), *_interruptions(request, outcome.kept_seconds)]
    return StageResult(
        digest=request.digest,
        kind=request.kind,
        name=request.name,
        seed=request.seed,
        attempt=request.attempt,
        started_at=started.isoformat(),
        # A wall clock may be set meanwhile, and a stage never ends before it starts.
        finished_at=(started + timedelta(seconds=time.monotonic() - began)).isoformat(),
        environment=collect(device, request.covers.packages if request.covers else ()),
        ledger=[*ledger, *energy_ledger(energy, window, request.kind)],
        scores=outcome.scores,
        facts=outcome.facts,
        outputs=outcome.outputs,
        artifacts=written(folder),
        notes=[*outcome.notes, *charged_notes(window), *noticed.spoilers()],
    )


def _interruptions(request: StageRequest, kept: float) -> list[Measurement]:
    """How often the stage was interrupted, and the seconds of that that no checkpoint kept; none if never."""
    if not request.interruptions:
        return []
    source = "the files of interrupted attempts, up to the last that they wrote"
    lost = max(0.0, request.earlier_seconds - kept)
    return [
        Measurement(
            quantity="interruptions", value=request.interruptions, unit="1", scope="stage", source=source
        ),
        Measurement(quantity="lost_seconds", value=lost, unit="s", scope="stage", source=source),
    ]


@contextlib.contextmanager
def _metered(energy: EnergyMeter, conditions: ConditionsMeter) -> Iterator[None]:
    conditions.start()
    energy.start()
    try:
        yield
    finally:
        energy.stop()
        conditions.stop()


class _Sayings(logging.Handler):
    """Hands our own log messages to the parent, which shows them."""

    def __init__(self, pipe: ProgressPipe) -> None:
        super().__init__(logging.INFO)
        self._pipe = pipe

    def emit(self, record: logging.LogRecord) -> None:
        """Send one message."""
        self._pipe.send({"say": redact(record.getMessage())})


def _pass_on_what_is_said(pipe: ProgressPipe) -> None:
    ours = logging.getLogger("harness")
    ours.setLevel(logging.INFO)
    ours.addHandler(_Sayings(pipe))
    ours.propagate = False


def _is_full(error: Exception) -> bool:
    """Whether memory ran out, the host's or the accelerator's, which a stage without torch has not filled."""
    if isinstance(error, MemoryError) or memory_limit.WORDS.search(str(error)):
        return True
    if "torch" not in sys.modules:
        return False
    from harness.measure.out_of_memory import is_out_of_memory

    return is_out_of_memory(error)


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _fail(folder: Path, error: StageError) -> None:
    write_atomically(error_of(folder, ranks_here().rank), error.model_dump_json(indent=1))


def run_and_exit(arguments: list[str]) -> NoReturn:
    """`main` as the whole of a process."""
    sys.stdout, sys.stderr = RedactedStream(sys.stdout), RedactedStream(sys.stderr)  # type: ignore[assignment]
    code = main(arguments)
    # All is on disk. Taking torch apart again takes over a second a stage, so only what was
    # registered for the end (temporary folders) runs, and the process ends.
    atexit._run_exitfuncs()
    with contextlib.suppress(OSError):
        sys.stdout.flush()
        sys.stderr.flush()
    os._exit(code)


if __name__ == "__main__":
    run_and_exit(sys.argv[1:])
