"""From `executor:` in a comparison to its places, and to the executor while a comparison runs."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from harness.errors import UserError
from harness.executors import JOB, OVER, Executor, Place
from harness.executors.local import Local, places_here
from harness.measure import gpus
from harness.measure.environment import device_identities, device_identity
from harness.measure.gpu_lock import GpuLock, locked
from harness.pipeline.executor_spec import LocalSpec, RaySpec, SlurmSpec

ExecutorSpec = LocalSpec | RaySpec | SlurmSpec


def spreads(spec: ExecutorSpec, devices: int = 1) -> bool:
    """Whether units run on devices of a kind, and not all on the one device of this machine, or on the
    `devices` that each stage has."""
    if isinstance(spec, LocalSpec):
        return spec.devices != 1 or (devices == 1 and gpus.names_several())
    return True


@functools.cache
def places_of(spec: ExecutorSpec) -> Sequence[Place]:
    """The devices that `spec` means, all of one kind; asked once a command. Raises UserError."""
    if isinstance(spec, LocalSpec):
        return tuple(places_here(spec))
    if isinstance(spec, SlurmSpec):
        import harness.executors.slurm as on_slurm

        return tuple(on_slurm.places_of(spec))
    import harness.executors.ray as on_ray

    return tuple(on_ray.places_of(spec))


@contextlib.contextmanager
def opened(spec: ExecutorSpec, what: str, devices: int = 1) -> Iterator[Executor | None]:
    """The executor of `spec`, None for one device of this machine, or for the `devices` of each stage, which
    are held for `what` meanwhile.

    Raises UserError where another comparison holds a device of this machine, and for units on several devices
    whose stages have several each.
    """
    with contextlib.ExitStack() as held:
        if devices > 1 and spreads(spec, devices) and not _gives(spec, devices):
            raise UserError(
                f"training.devices is {devices} and executor puts units on several devices",
                where="executor",
                remedy="leave one of the two out; a job of executor slurm gives them by gpus: "
                + str(devices),
            )
        if not spreads(spec, devices):
            held.enter_context(locked(device_identities(devices), what=what))
            yield None
            return
        executor = _executor(spec, what, held)
        held.callback(executor.close)
        yield executor


def _executor(spec: ExecutorSpec, what: str, held: contextlib.ExitStack) -> Executor:
    if isinstance(spec, LocalSpec):
        places = places_of(spec)
        # Groups of cores make up the processor, which has one lock.
        for device in dict.fromkeys(_locked_as(place) for place in places):
            held.enter_context(GpuLock(device, what=what))
        return Local(places)
    if isinstance(spec, SlurmSpec):
        import harness.executors.slurm as on_slurm

        return on_slurm.opened(spec, places_of(spec))
    import harness.executors.ray as on_ray

    return on_ray.opened(spec, places_of(spec))


def jobs_in(units: Path) -> Mapping[str, list[str]]:
    """By comparison, what the queue says of each job that is not over, of the units in a run root."""
    noted = sorted(units.glob(f"*/*/{JOB}"))
    if not noted:
        return {}
    import harness.executors.slurm as on_slurm

    found: dict[str, list[str]] = {}
    for file in noted:
        known = on_slurm.queued_in(file.parent)
        if known is not None and known[1].state() not in OVER:
            found.setdefault(file.parents[1].name, []).append(known[1].told())
    return found


def _gives(spec: ExecutorSpec, devices: int) -> bool:
    """Whether each unit gets as many devices as its stages have; a job's processes may share its cores."""
    return isinstance(spec, SlurmSpec) and spec.gpus in (0, devices)


def _locked_as(place: Place) -> str:
    return device_identity() if place.kind.startswith("cpu:") else place.device
