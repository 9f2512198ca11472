"""submitit's side of the executor slurm: parameters of jobs, handing over, and what the queue says of one."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from harness.errors import UserError
from harness.executors import JobState
from harness.executors._on_node import WorkerLost
from harness.pipeline.executor_spec import SlurmSpec

try:
    import submitit
    from submitit.core.utils import FailedSubmissionError
    from submitit.local.local import LocalJob
    from submitit.slurm.slurm import SlurmInfoWatcher, SlurmJob
except ImportError:
    raise UserError(
        "the executor slurm needs submitit",
        where="executor",
        remedy="install it by pip install 'orpo-harness[slurm]', where the command runs and on all nodes",
    ) from None

LOST = ("CANCELLED", "NODE_FAIL", "TIMEOUT", "PREEMPTED", "BOOT_FAIL", "DEADLINE", "REVOKED")
FAILED = ("FAILED", "OUT_OF_MEMORY")
WAITING = ("PENDING", "REQUEUED", "REQUEUE_HOLD", "CONFIGURING", "RESV_DEL_HOLD", "SPECIAL_EXIT")
SEEN_SECONDS = 60.0
"""How long a result may take to be seen here after the queue says that its job is complete."""


def parameters(spec: SlurmSpec, needed: Sequence[str] = ()) -> Mapping[str, Any]:
    """The settings as submitit's AutoExecutor takes them; `needed` are ids that have to end well before."""
    slurm = {
        "partition": spec.partition,
        "account": spec.account,
        "qos": spec.qos,
        "constraint": spec.constraint,
        "dependency": f"afterok:{':'.join(needed)}" if needed else None,
        "setup": list(spec.setup) or None,
    }
    beside = {"requeue": True, **({"kill-on-invalid-dep": "yes"} if needed else {}), **_options(spec.sbatch)}
    return {
        "name": "orpo-harness",
        "timeout_min": max(1, round(60 * spec.hours)),
        "cpus_per_task": spec.cpus,
        **({"gpus_per_node": spec.gpus} if spec.gpus else {}),
        **({"mem_gb": spec.memory_gb} if spec.memory_gb is not None else {}),
        "slurm_array_parallelism": spec.jobs,
        "slurm_signal_delay_s": round(60 * spec.signal_minutes),
        "slurm_additional_parameters": beside,
        **{f"slurm_{name}": value for name, value in slurm.items() if value is not None},
    }


def _options(lines: Sequence[str]) -> dict[str, str]:
    """`name=value` each."""
    return {name: value for name, _, value in (line.partition("=") for line in lines)}


class Queue:
    """Where jobs are handed to."""

    def __init__(self, spec: SlurmSpec) -> None:
        self._spec = spec
        SlurmJob.watcher = SlurmInfoWatcher(delay_s=round(spec.poll_seconds))

    @property
    def knows_needs(self) -> bool:
        """Whether it holds back a job until others have ended well."""
        return self._spec.cluster == "slurm"

    def room(self, running: int) -> int | None:
        """How many more jobs it may have; None where it limits how many run by itself."""
        return None if self._spec.cluster == "slurm" else max(0, self._spec.jobs - running)

    def submit(
        self, units: Sequence[Callable[[], JobState]], logs: Path, needed: Sequence[str]
    ) -> list[Queued]:
        """Hand the units over, several as one array. Raises UserError with what sbatch says."""
        try:
            executor = submitit.AutoExecutor(
                folder=logs, cluster=self._spec.cluster, slurm_max_num_timeout=self._spec.requeues
            )
            executor.update_parameters(**parameters(self._spec, needed))
            with executor.batch():
                jobs = [executor.submit(unit) for unit in units]
        except (FailedSubmissionError, RuntimeError, OSError, subprocess.SubprocessError) as error:
            raise UserError(
                f"the jobs were not taken ({_said_by(error)})",
                where="executor",
                remedy="look at partition, account and limits (`sinfo`, `sacctmgr show assoc user=$USER`)",
            ) from None
        return [Queued(job, self._spec.poll_seconds) for job in jobs]


def find(job_id: str, cluster: str, logs: Path, poll_seconds: float) -> Queued:
    """A job that was handed over before."""
    made = SlurmJob if cluster == "slurm" else LocalJob
    return Queued(made(folder=logs, job_id=job_id), poll_seconds)


class Queued:
    """A job that the queue has or had."""

    def __init__(self, job: Any, poll_seconds: float) -> None:
        self._job, self._poll = job, poll_seconds
        self._complete_since: float | None = None
        self._reason, self._asked_at = "", -poll_seconds

    @property
    def id(self) -> str:
        """As the queue names it: a number, or that of an array with the place in it."""
        return str(self._job.job_id)

    @property
    def raw_state(self) -> str:
        """The queue's own word."""
        if isinstance(self._job, LocalJob):
            return _local_state(self._job)
        return str(self._job.watcher.get_state(self.id)).partition(" ")[0].rstrip("+").upper()

    def state(self) -> JobState:
        """Where it is, as far as the queue tells; `state_of_job` knows more of one that this command waits
        for."""
        return state_of_job(self, begun=True)

    def outcome(self) -> JobState | None:
        """What its own process says became of it; None as long as that says nothing."""
        if not self._job.paths.result_pickle.exists():
            return None
        try:
            state: JobState = self._job.result()
        except Exception as error:  # submitit tells what the job raised, of any class, in its own words.
            return "lost" if f"{WorkerLost.__name__}: " in str(error) else "failed"
        return state

    def waited_long(self) -> bool:
        """Whether the result of a job that is complete should be here by now."""
        self._complete_since = self._complete_since or time.monotonic()
        return time.monotonic() - self._complete_since > SEEN_SECONDS

    def told(self) -> str:
        """Its id, its state and, of one that waits, the queue's reason."""
        raw = self.raw_state
        reason = self._pending_reason() if raw in WAITING else ""
        return f"job {self.id}: {raw.lower().replace('_', ' ')}{f' ({reason})' if reason else ''}"

    def _pending_reason(self) -> str:
        if isinstance(self._job, LocalJob):
            return ""
        if time.monotonic() - self._asked_at >= self._poll:
            self._asked_at = time.monotonic()
            with contextlib.suppress(OSError, subprocess.SubprocessError):
                asked = ["squeue", "--noheader", "--format=%r", "--jobs", self.id]
                done = subprocess.run(asked, capture_output=True, text=True, timeout=20, check=True)
                self._reason = done.stdout.strip().partition("\n")[0]
        return self._reason

    def cancel(self) -> None:
        """Take it out of the queue, or end it."""
        if isinstance(self._job, LocalJob):
            # Its own way is SIGINT, which processes of a background shell ignore.
            with contextlib.suppress(OSError):
                os.kill(int(self.id), signal.SIGTERM)
            return
        self._job.cancel(check=False)


def state_of_job(queued: Queued, *, begun: bool) -> JobState:
    """What became of a job; `begun`: its process has said where it runs.

    Where accounting knows nothing of a job it waits until it has begun.
    """
    raw = queued.raw_state
    if raw in WAITING:
        return "waiting"
    if raw == "RUNNING":
        return "running" if begun else "waiting"
    outcome = queued.outcome()
    if outcome is not None:
        return outcome
    if raw in FAILED:
        return "failed"
    if raw in LOST:
        return "lost"
    if raw in ("COMPLETED", "FINISHED", "INTERRUPTED"):
        return "lost" if raw != "COMPLETED" or queued.waited_long() else "running"
    return "running" if begun else "waiting"


def _local_state(job: LocalJob[Any]) -> str:
    """A job of this machine that another command started has no process here, but its id is one's."""
    raw = str(job.state)
    if job._process is None and not job.paths.result_pickle.exists():
        return "RUNNING" if _lives(int(job.job_id)) else "INTERRUPTED"
    return raw


def _lives(process: int) -> bool:
    """Whether it runs; one that ended and was not waited for does not."""
    listed = subprocess.run(
        ["ps", "-o", "stat=", "-p", str(process)], capture_output=True, text=True, check=False
    )
    return listed.stdout.strip()[:1] not in ("", "Z")


def _said_by(error: Exception) -> str:
    stderr = getattr(error, "stderr", None)
    text = stderr.decode(errors="replace") if isinstance(stderr, bytes) else str(stderr or error)
    return (text.strip().splitlines() or [type(error).__name__])[-1]
