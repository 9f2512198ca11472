"""What a job of a queueing system runs on its node: the unit's worker, until it ends or the job has to go."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from harness.executors import PLACE, Job, JobState, Place
from harness.executors._process import say_place, start_process, state_of, stop_process

POLL_SECONDS = 0.2


class WorkerFailed(RuntimeError):
    """The worker ended with a code above 0. A job that ends by it has failed for the queue too, so that no
    other job which needs it starts."""


class WorkerLost(WorkerFailed):
    """The worker was ended from outside, so that the unit may start again."""


class OnNode:
    """Called in the job's process; `checkpoint` is what submitit calls on a signal of preemption or of the
    time limit, before it puts the job back into the queue with what is returned."""

    def __init__(self, job: Job, variables: Mapping[str, str]) -> None:
        self._job, self._variables = job, dict(variables)
        self._process: subprocess.Popen[bytes] | None = None

    def __call__(self) -> JobState:
        """Run the worker; a job that is told to end ends its stage first. Raises WorkerFailed or WorkerLost
        where the worker did not end well."""
        # submitit passes SIGTERM by, which is how a cluster says that a job is cancelled.
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, signal.default_int_handler)
        place = Place(socket.gethostname(), "", f"job {_job_id()}")
        say_place(self._job.folder, place)
        here = replace(self._job, command=(sys.executable, *self._job.command[1:]))
        self._process = start_process(here, {**self._variables, PLACE: str(place)})
        try:
            while self._process.poll() is None:
                time.sleep(POLL_SECONDS)
        except BaseException:
            stop_process(self._process)
            raise
        state = state_of(self._process)
        if state != "finished":
            raise (WorkerLost if state == "lost" else WorkerFailed)(f"{self._job.name}: {state}")
        return state

    def checkpoint(self) -> Any:
        """End the worker, whose stage goes on from its last checkpoint, and ask for the same again."""
        from submitit.helpers import DelayedSubmission

        if self._process is not None:
            stop_process(self._process)
        return DelayedSubmission(OnNode(self._job, self._variables))


def _job_id() -> str:
    names = ("SLURM_ARRAY_JOB_ID", "SLURM_ARRAY_TASK_ID")
    array = "_".join(os.environ[name] for name in names if name in os.environ)
    return array or os.environ.get("SLURM_JOB_ID") or os.environ.get("SUBMITIT_LOCAL_JOB_ID") or "unknown"
