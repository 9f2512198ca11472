"""A cluster under SLURM, through submitit: every unit is a job, those that need no other are one array.

Jobs outlive the command that handed them over: which job runs a unit stands in the unit's folder, and the
next command finds it there and waits for it.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from harness.errors import UserError
from harness.executors import JOB, LOCK, OVER, THREADS, Job, JobState, Place
from harness.executors._on_node import OnNode
from harness.executors._process import WHERE, place_said
from harness.executors._queue import Queue, Queued, find, state_of_job
from harness.measure.environment import cpu_kind
from harness.pipeline.executor_spec import SlurmSpec
from harness.whole_file import write_atomically

LOGS = "jobs"
"""Where submitit keeps what it hands over, and what jobs print, beside the units' folders."""
POLL_SECONDS = 30.0
ASK = "srun --gpus=1 python -c 'from harness.measure.environment import kind_here; print(kind_here())'"


def places_of(spec: SlurmSpec) -> Sequence[Place]:
    """As many places as jobs may run at once. Raises UserError where the kind of device is not known."""
    kind = spec.kind or _kind_of_this_machine(spec)
    variables = {THREADS: str(spec.cpus)} if kind.startswith("cpu:") else {}
    if kind.startswith("cpu:") != (spec.gpus == 0):
        raise UserError(
            f"jobs have {spec.gpus} GPU(s) and the kind of device is {kind}",
            where="executor",
            remedy="give gpus: 0 for jobs on processors, and a kind that begins with cuda: for others",
        )
    return [Place("a node", kind, f"one of {spec.jobs} jobs", variables)] * spec.jobs


def _kind_of_this_machine(spec: SlurmSpec) -> str:
    if spec.cluster == "local" and spec.gpus == 0:
        return cpu_kind(spec.cpus)
    raise UserError(
        "the kind of device that jobs get is not named",
        where="executor.kind",
        remedy=f"digests hold it; on the cluster `{ASK}` prints it",
    )


def opened(spec: SlurmSpec, places: Sequence[Place]) -> Slurm:
    """The executor; it hands nothing over by itself."""
    return Slurm(spec, places)


class Slurm:
    """Hands jobs to the queue, and finds those that an earlier command handed over."""

    lasting = True

    def __init__(self, spec: SlurmSpec, places: Sequence[Place]) -> None:
        self.waits, self.cluster = spec.wait, spec.cluster
        self._spec, self._places, self._queue = spec, places, Queue(spec)
        self._jobs: dict[str, _SlurmJob] = {}
        self._left = False

    def places(self) -> Sequence[Place]:
        """One for each job that may run at the same time."""
        return self._places

    def start(self, job: Job) -> _SlurmJob:
        """The job that runs this unit already, or a new one, which is handed over with its like when any is
        asked for its state."""
        made = self._jobs[job.name] = _SlurmJob(job, self, _found(job, self._spec.poll_seconds))
        return made

    def holds(self, folder: Path) -> bool:
        """Whether a job of an earlier command waits or runs for the unit in `folder`."""
        known = queued_in(folder, self._spec.poll_seconds)
        return known is not None and known[1].state() not in OVER

    def hand_over(self) -> None:
        """Submit what waits to be handed over: what needs no other job as one array, the rest behind it."""
        while groups := self._groups([job for job in self._jobs.values() if job.to_hand_over]):
            for needed, group in groups.items():
                units = [OnNode(job.job, self._variables()) for job in group]
                logs = group[0].job.folder.parent / LOGS
                for job, queued in zip(group, self._queue.submit(units, logs, needed), strict=True):
                    job.take(queued)

    def _groups(self, waiting: Sequence[_SlurmJob]) -> Mapping[tuple[str, ...], list[_SlurmJob]]:
        """Jobs by the ids of unfinished jobs that they need; those that need one without an id yet wait."""
        groups: dict[tuple[str, ...], list[_SlurmJob]] = {}
        room = self._queue.room(sum(job.runs for job in self._jobs.values()))
        for job in waiting:
            needs = [self._jobs[name] for name in job.job.needs if name in self._jobs]
            unfinished = [need for need in needs if need.now() != "finished"]
            ids = [need.queued.id for need in unfinished if need.queued is not None]
            free = room is None or sum(map(len, groups.values())) < room
            if len(ids) == len(unfinished) and (self._queue.knows_needs or not ids) and free:
                groups.setdefault(tuple(sorted(ids)), []).append(job)
        return groups

    def _variables(self) -> Mapping[str, str]:
        return {} if self._spec.gpus == 0 else {LOCK: "1"}

    def leave(self) -> list[str]:
        """Let the jobs go on without this command; gives the ids of those that are not over."""
        self.hand_over()
        self._left = True
        return [job.queued.id for job in self._jobs.values() if job.queued and job.now() not in OVER]

    def close(self) -> None:
        """Cancel what waits or runs, unless it was left to go on."""
        if not self._left:
            for job in self._jobs.values():
                job.stop()


@dataclass(frozen=True)
class Noted:
    """What stands in the unit's folder of its job; `order` is what the job was asked to run."""

    id: str
    cluster: str
    order: str


def queued_in(folder: Path, poll_seconds: float = POLL_SECONDS) -> tuple[Noted, Queued] | None:
    """The job of the unit in `folder`, None where none was handed over."""
    with contextlib.suppress(OSError, ValueError, TypeError):
        noted = Noted(**json.loads((folder / JOB).read_text(encoding="utf-8")))
        return noted, find(noted.id, noted.cluster, folder.parent / LOGS, poll_seconds)
    return None


def _found(job: Job, poll_seconds: float) -> Queued | None:
    """The queue's job that runs exactly this. Any other of the unit is cancelled, also one that seems to be
    over: a queue may put back what it preempted, or what its node lost."""
    known = queued_in(job.folder, poll_seconds)
    if known is None:
        return None
    noted, queued = known
    if noted.order == job.asks and queued.state() not in OVER:
        return queued
    queued.cancel()
    return None


@dataclass
class _SlurmJob:
    """A unit's job, as the queue and the unit's folder tell of it."""

    job: Job
    executor: Slurm
    queued: Queued | None = None
    _over: JobState | None = field(default=None)

    def __post_init__(self) -> None:
        self._found = self.queued is not None
        if not self._found:
            (self.job.folder / WHERE).unlink(missing_ok=True)

    @property
    def to_hand_over(self) -> bool:
        """Whether the queue does not have it yet."""
        return self.queued is None and self._over is None

    @property
    def runs(self) -> bool:
        """Whether the queue has it and it is not over."""
        return self.queued is not None and self.now() not in OVER

    def take(self, queued: Queued) -> None:
        """Note that the queue has it."""
        self.queued = queued
        noted = Noted(queued.id, self.executor.cluster, self.job.asks)
        write_atomically(self.job.folder / JOB, json.dumps(asdict(noted)))

    def state(self) -> JobState:
        """Its state, once what can be handed over is."""
        self.executor.hand_over()
        return self.now()

    def now(self) -> JobState:
        """Its state, without handing others over."""
        if self._over is None and self.queued is not None:
            state = state_of_job(self.queued, begun=(self.job.folder / WHERE).exists())
            self._over = state if state in OVER else None
            return state
        return self._over or "waiting"

    def told(self) -> str | None:
        """The job's id and what the queue says of it."""
        return None if self.queued is None else self.queued.told()

    @property
    def found(self) -> bool:
        """Whether an earlier command handed it over."""
        return self._found

    def place(self) -> Place | None:
        """Where it says that it runs."""
        return place_said(self.job.folder)

    def stop(self) -> None:
        """Cancel it; its node ends the stage within the cluster's grace period."""
        if self.queued is not None and self.now() not in OVER:
            self.queued.cancel()
        self._over = self._over or "lost"
