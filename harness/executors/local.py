"""Several devices of this machine: its GPUs, or groups of its cores, each with one job at a time."""

from __future__ import annotations

import os
import socket
import subprocess
from collections.abc import Iterator, Sequence

from harness.errors import UserError
from harness.executors import (
    CORES,
    OVER,
    PLACE,
    THREADS,
    EndsWithCommand,
    Job,
    JobState,
    OwnJob,
    Place,
)
from harness.executors._process import start_process, state_of, stop_process
from harness.measure import gpus
from harness.measure.environment import cpu_kind, cpu_name, gpu_kind
from harness.pipeline.executor_spec import LocalSpec


def places_here(spec: LocalSpec) -> list[Place]:
    """The places of this machine; raises UserError where there are fewer devices than asked for."""
    found = gpus.selected()
    return _gpu_places(spec, found) if found else _core_places(spec)


def _gpu_places(spec: LocalSpec, found: Sequence[gpus.Gpu]) -> list[Place]:
    count = len(found) if spec.devices == "all" or gpus.names_several() else spec.devices
    if count > len(found):
        raise _too_few(count, f"{len(found)} GPU(s)")
    kinds = dict.fromkeys(gpu_kind(gpu) for gpu in found[:count])
    if len(kinds) > 1:
        raise UserError(
            f"blocks would run on several kinds of GPU ({', '.join(kinds)})",
            where="executor.devices",
            remedy="name GPUs of one kind by --device 0,1",
        )
    node, kind = socket.gethostname(), next(iter(kinds))
    return [Place(node, kind, f"{gpu.kind}:{gpu.uuid}", {gpus.DEVICE: gpu.entry}) for gpu in found[:count]]


def _core_places(spec: LocalSpec) -> list[Place]:
    """Groups of as many cores each; what does not divide is left idle, so that all groups are alike."""
    cores = _cores()
    count = 1 if spec.devices == "all" else spec.devices
    threads = len(cores) // count
    if not threads:
        raise _too_few(count, f"{len(cores)} core(s) and no GPU")
    groups = [cores[i * threads : (i + 1) * threads] for i in range(count)]
    return [_core_place(threads, ",".join(map(str, group))) for group in groups]


def _core_place(threads: int, cores: str) -> Place:
    variables = {THREADS: str(threads), CORES: cores}
    return Place(socket.gethostname(), cpu_kind(threads), f"cpu:{cpu_name()}:cores {cores}", variables)


def _cores() -> list[int]:
    if hasattr(os, "sched_getaffinity"):
        return sorted(os.sched_getaffinity(0))
    return list(range(os.cpu_count() or 1))


def _too_few(wanted: int, there: str) -> UserError:
    return UserError(
        f"{wanted} devices asked for, and {there} here", where="executor.devices", remedy="ask for fewer"
    )


class Local(EndsWithCommand):
    """Runs at most one job on each place; what waits starts when its state is asked for."""

    def __init__(self, places: Sequence[Place]) -> None:
        self._places = list(places)
        self._jobs: list[_LocalJob] = []

    def places(self) -> Sequence[Place]:
        """All of them, busy or free."""
        return self._places

    def start(self, job: Job) -> _LocalJob:
        """Queue the job behind those that wait."""
        made = _LocalJob(job, self)
        self._jobs.append(made)
        self.advance()
        return made

    def advance(self) -> None:
        """Start what can start."""
        free = [place for place in self._places if place not in self._busy()]
        for job in self._ready():
            if not free:
                return
            job.launch(free.pop(0))

    def _busy(self) -> list[Place | None]:
        return [job.place() for job in self._jobs if job.now() == "running"]

    def _ready(self) -> Iterator[_LocalJob]:
        unfinished = {job.job.name for job in self._jobs} - {
            job.job.name for job in self._jobs if job.now() == "finished"
        }
        for job in self._jobs:
            if job.now() == "waiting" and not unfinished & set(job.job.needs):
                yield job

    def close(self) -> None:
        """Stop what runs."""
        for job in self._jobs:
            job.stop()


class _LocalJob(OwnJob):
    """A job and the process that it became."""

    def __init__(self, job: Job, executor: Local) -> None:
        self.job, self._executor = job, executor
        self._place: Place | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._stopped = False

    def launch(self, place: Place) -> None:
        """Start it on a place that is free."""
        self._place = place
        self._process = start_process(self.job, {**place.variables, PLACE: str(place)})

    def now(self) -> JobState:
        """Its state, without starting others."""
        if self._process is None:
            return "lost" if self._stopped else "waiting"
        return state_of(self._process)

    def state(self) -> JobState:
        """Its state, once what can start has started."""
        self._executor.advance()
        return self.now()

    def place(self) -> Place | None:
        """Where it runs or ran."""
        return self._place

    def stop(self) -> None:
        """End its process, or do not start it."""
        self._stopped = True
        if self._process is not None and self.now() not in OVER:
            stop_process(self._process)
