"""Where the units of a comparison run: one small interface, and what implements it.

An executor starts a command on a device and says what became of it, nothing else. What the command does
(`harness.running.worker`), what it tells while it does (`events.jsonl` in the job's folder) and what follows
from a job that was lost is the same for all of them and stands in `harness.running`. The only thing that
driver and workers share is the file system with the run root.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol

JobState = Literal["waiting", "running", "finished", "failed", "lost"]
"""`waiting` for a device or for what it needs; `failed` where the command ended with a code above 0; `lost`
where it was ended from outside (a signal, a node that is gone, a preemption), so that it may start again."""
OVER: tuple[JobState, ...] = ("finished", "failed", "lost")


LIFELINE = "HARNESS_LIFELINE"
"""Tells a job's command the descriptor of which nobody holds the other end once whoever started it is gone;
not set where nobody has to outlive it."""
CORES = "HARNESS_CORES"
"""Tells it which cores it and its stages may use."""
PLACE = "HARNESS_PLACE"
"""Tells it the place's name, for whoever watches."""
LOCK = "HARNESS_LOCKS_DEVICE"
"""Is set where the command has to lock its device itself."""
JOB = "job.json"
"""Says in the job's folder which job of a queueing system runs it."""
LOG = "log.txt"
"""The command's own output, in the job's folder."""
THREADS = "OMP_NUM_THREADS"


@dataclass(frozen=True)
class Place:
    """One device on which a job may run.

    `kind` is what all devices of a sort share and a stage's digest holds: `cuda:NVIDIA H200`, or
    `cpu:<name>:<threads>`. `device` tells it from others of its kind: a GPU's UUID, or the cores.
    `variables` are what a process computes there with, such as its number of threads.
    """

    node: str
    kind: str
    device: str
    variables: Mapping[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"{self.node}, {self.device}"


@dataclass(frozen=True)
class Job:
    """A command that runs on one place.

    `folder` lies in the shared run root; the command's own output goes to `log.txt` there. `environment` is
    added to that of the process on the node, `directory` is where relative paths begin. `needs` names jobs
    that must have finished before this one starts; an executor that knows no dependencies waits for them
    itself. `devices` is how many devices of one node it needs. `asks` tells it from another job of the same
    folder: a digest of what it is to run.
    """

    name: str
    folder: Path
    command: Sequence[str]
    environment: Mapping[str, str] = field(default_factory=dict)
    directory: Path = field(default_factory=Path.cwd)
    needs: tuple[str, ...] = ()
    devices: int = 1
    asks: str = ""


class Handle(Protocol):
    """A job that was handed over."""

    def state(self) -> JobState:
        """Where it is now. Never waits: it is asked several times a second."""

    def place(self) -> Place | None:
        """Where it runs or ran last; None as long as nobody knows."""

    def told(self) -> str | None:
        """What whoever queues it says of it, in words; None where nothing is to be said."""

    @property
    def found(self) -> bool:
        """Whether an earlier command handed it over."""

    def stop(self) -> None:
        """Ask the command to end (SIGINT first, so that its stage ends cleanly) and see that it does.

        May take a grace period. Does nothing to a job that is over.
        """


class Executor(Protocol):
    """Starts jobs. `close` stops whatever still runs; the driver calls it however the comparison ends.

    Jobs of one that is `lasting` outlive the command: it may `leave` them, and the next command finds them in
    their folders. One that does not wait (`waits`) leaves as soon as all are handed over.
    """

    lasting: bool
    waits: bool

    def places(self) -> Sequence[Place]:
        """The devices that there are, all of one kind; raises UserError where there is none."""

    def start(self, job: Job) -> Handle:
        """Hand a job over; it waits for a place, at most one job on each."""

    def holds(self, folder: Path) -> bool:
        """Whether a job of an earlier command still waits or runs for this folder."""

    def leave(self) -> list[str]:
        """Let jobs go on without this command; gives the ids of those that are not over."""

    def close(self) -> None:
        """Stop what runs and leave."""


class EndsWithCommand:
    """An executor none of whose jobs outlives the command."""

    lasting, waits = False, True

    def holds(self, folder: Path) -> bool:
        """No job of an earlier command is left."""
        return False

    def leave(self) -> list[str]:
        """None goes on."""
        return []


class OwnJob:
    """A job that this command handed over, whose events tell all."""

    found = False

    def told(self) -> str | None:
        """Nothing."""
        return None
