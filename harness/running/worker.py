"""The process that runs one unit on its device: `python -m harness.running.worker FOLDER`.

It runs the stages by the same code as a comparison on one device, in the run root that it shares with the
driver, and writes what happens into the unit's folder. It ends with whoever started it.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import traceback
from pathlib import Path

from harness.errors import Interrupted, StageFailed, UserError
from harness.executors import CORES, LIFELINE, LOCK
from harness.measure.environment import device_identity, kind_here
from harness.measure.gpu_lock import GpuLock
from harness.pipeline.resolved import Resolved
from harness.pipeline.spec import ComparisonSpec
from harness.records import Plan
from harness.running.execute import Asked, Execution
from harness.running.reusable import reusable
from harness.running.unit_files import Events, UnitOrder, read_order
from harness.stages.lifeline import end_with_parent
from harness.stages.starting import ForkServer, Starter
from harness.store.run_dir import RunRoot


def main(folder: Path) -> int:
    """Run the unit in `folder`; 0 where it came to its end, also with failed stages, 130 where it was
    interrupted, else 1."""
    _listen()
    if LIFELINE in os.environ:
        end_with_parent(int(os.environ.pop(LIFELINE)))
    _keep_to_its_cores()
    order, plan = read_order(folder)
    events = Events(folder)
    error: BaseException | None = None
    with ForkServer() as starter:
        execution = execution_of(order, plan, events, starter)
        try:
            _check_device(order)
            with _locked(f"{order.name} of {plan.id}"):
                execution.run(order.stages, go_on=order.go_on)
        except (UserError, StageFailed, Interrupted, KeyboardInterrupt) as stopped:
            error = stopped
        except Exception as stopped:
            traceback.print_exc()
            error = stopped
    events.over({d: f for d, f in execution.failed.items() if d in order.stages}, error)
    return 0 if error is None else 130 if isinstance(error, Interrupted | KeyboardInterrupt) else 1


def execution_of(order: UnitOrder, plan: Plan, events: Events, starter: Starter) -> Execution:
    """The state of the comparison as this unit finds it in the run root."""
    spec = ComparisonSpec.model_validate({**plan.spec, **order.spec})
    execution = Execution(
        plan,
        RunRoot(Path(order.root)),
        [events],
        offline=order.offline,
        tried=set(order.tried),
        asked=Asked(spec, Resolved()),
        starter=starter,
        anew=order.anew,
    )
    others = [digest for digest in plan.order if digest not in order.stages]
    found = {digest: reusable(execution.root, plan, digest) for digest in others}
    execution.results = {digest: result for digest, result in found.items() if result is not None}
    execution.failed = {one.digest: one for one in order.failed}
    return execution


def _check_device(order: UnitOrder) -> None:
    """Raise UserError on another kind of device than the stages' digests hold."""
    found = kind_here()
    if found != order.kind:
        raise UserError(
            f"a block got {found}, and the comparison's other stages are of {order.kind}",
            where=os.uname().nodename,
            remedy="let the executor choose one kind of device; docs/scale.md says how",
        )


def _locked(what: str) -> contextlib.AbstractContextManager[object]:
    """The device's lock, where who started this process holds none."""
    return GpuLock(device_identity(), what=what) if LOCK in os.environ else contextlib.nullcontext()


def _listen() -> None:
    """End cleanly where that is asked for; the warning that SLURM sends to every process of a job, and that
    ends one that does not know it, is for the job's own process, which asks then."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)
    signal.signal(signal.SIGUSR2, signal.SIG_IGN)


def _keep_to_its_cores() -> None:
    cores = os.environ.get(CORES)
    if cores and hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {int(core) for core in cores.split(",")})


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
