"""The process of a job on its node: it ends with who started it, and when it is asked to."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
from collections.abc import Mapping
from pathlib import Path

from harness.executors import LIFELINE, LOG, Job, JobState, Place
from harness.whole_file import write_atomically

GRACE_SECONDS = 20.0
"""Longer than a stage is given to end."""
WHERE = "place.json"
"""Written on the node of a job, since a cluster does not say where its jobs run."""


def say_place(folder: Path, place: Place) -> None:
    """Write down where the job of this folder runs."""
    said = {"node": place.node, "kind": place.kind, "device": place.device}
    write_atomically(folder / WHERE, json.dumps(said))


def place_said(folder: Path) -> Place | None:
    """What `say_place` wrote, None as long as nothing is there."""
    with contextlib.suppress(OSError, ValueError, TypeError):
        return Place(**json.loads((folder / WHERE).read_text(encoding="utf-8")))
    return None


def start_process(job: Job, variables: Mapping[str, str]) -> subprocess.Popen[bytes]:
    """The job's command in a session of its own, its output added to the log in its folder."""
    with (job.folder / LOG).open("ab") as sink:
        return subprocess.Popen(
            list(job.command),
            stdin=subprocess.PIPE,
            stdout=sink,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            cwd=job.directory if job.directory.is_dir() else None,
            env={**os.environ, **job.environment, **variables, LIFELINE: "0"},
        )


def state_of(process: subprocess.Popen[bytes]) -> JobState:
    """What became of a job by its process: one that a signal ended may start again."""
    code = process.poll()
    if code is None:
        return "running"
    return "finished" if code == 0 else "lost" if code < 0 else "failed"


def stop_process(process: subprocess.Popen[bytes], grace: float = GRACE_SECONDS) -> None:
    """Ask it to end, and end it after a grace period."""
    for number, patience in ((signal.SIGINT, grace), (signal.SIGKILL, None)):
        if process.poll() is not None:
            return
        process.send_signal(number)
        try:
            process.wait(patience)
        except subprocess.TimeoutExpired:
            continue
