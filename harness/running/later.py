"""More stages on a finished run: what scoring again, an export and a next round's pairs have in common."""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

from rich.console import Console

from harness.errors import UserError
from harness.measure.environment import device_identity
from harness.measure.gpu_lock import GpuLock
from harness.records import ComparisonRecord, Plan
from harness.running.execute import Asked, Execution
from harness.running.resolve import is_local
from harness.running.showing import Showing
from harness.stages.starting import ForkServer
from harness.store.run_dir import RunRoot


@dataclass(frozen=True)
class Later:
    """The run's stages with those of a longer plan to be run, and what shows them."""

    execution: Execution
    showing: Showing


@contextlib.contextmanager
def later(
    record: ComparisonRecord,
    root: RunRoot,
    plan: Plan,
    new: Sequence[str],
    *,
    asked: Asked,
    what: str,
    console: Console,
) -> Iterator[Later]:
    """Hold the root and the device for `what`, to run the stages `new` of `plan` in a finished run.

    Raises UserError where another command holds one of them, and where what the stages need is gone or is of
    a later training than the run's.
    """
    root.open_for_writing()
    with (
        root.lock(what),
        GpuLock(device_identity(), what=what),
        Showing(root, console) as showing,
        ForkServer() as starter,
    ):
        _check_models(
            record, root, needed={needed for one in new for needed in plan.stages[one].needs.values()}
        )
        execution = Execution(
            plan, root, showing.watch(plan), offline=is_local(asked.spec), asked=asked, starter=starter
        )
        execution.results = dict(record.results)
        yield Later(execution, showing)


def _check_models(record: ComparisonRecord, root: RunRoot, *, needed: Collection[str]) -> None:
    """Raise UserError where a trained model is gone, or is of a later training than the run's.

    What was cleaned away matters where it is `needed`.
    """
    for digest, result in record.results.items():
        if result.kind in ("prepare", "train"):
            cleaned = root.cleaned(digest)
            if cleaned is not None and digest in needed:
                raise UserError(
                    f"the weights of stage {result.name} were cleaned away",
                    where=record.id,
                    remedy="give the comparison's own command with `--again train`, then score it",
                )
            now = root.finished(digest) or cleaned
            if now is None or now.finished_at != result.finished_at:
                raise UserError(
                    f"stage {result.name} {'is gone' if now is None else 'was run again since'}",
                    where=record.id,
                    remedy="run the comparison again, then score it",
                )
