"""What a stage's silence means: it does not answer, it makes no progress, or it has had its time.

A thread of the child sends a beat every `BEAT_SECONDS`. Without beats the process is stopped, or waits for a
disk; with beats and without steps or phases its work hangs. Silence alone ends a stage only where the user
set a limit, since counting FLOPs and writing weights are silent too.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from harness.stages.context import ProgressPipe

BEAT = "beat"
BEAT_SECONDS = 10.0
UNANSWERED_SECONDS = 60.0
STUCK_SECONDS = 900.0
STATES = {
    "T": "it is stopped by a signal; `kill -CONT {pid}` lets it go on",
    "t": "a debugger holds it",
    "D": "it waits for a disk or a network file system",
    "Z": "it is dead",
}
BUSY = "it is busy or blocked"


def start_beating(pipe: ProgressPipe) -> None:
    """Beat from now until the process ends, and dump all stacks into the log on SIGUSR1."""
    import faulthandler

    faulthandler.register(signal.SIGUSR1, all_threads=True)

    def beat() -> None:
        while True:
            pipe.send({BEAT: True})
            time.sleep(BEAT_SECONDS)

    threading.Thread(target=beat, name="beat", daemon=True).start()


@dataclass(frozen=True)
class Silence:
    """What was noticed after `seconds`: no answer, no progress, or no progress for longer than allowed."""

    kind: Literal["unanswered", "stuck", "over"]
    seconds: float


class Vigil:
    """Told of a stage's messages, and asked in between. `patience` ends it, in seconds without progress."""

    def __init__(self, patience: float | None, *, now: Callable[[], float] = time.monotonic) -> None:
        self._patience, self._now = patience, now
        self._answered = self._progressed = now()
        self._said: set[str] = set()

    def hears(self, message: Mapping[str, Any]) -> None:
        """Any message is an answer; all but beats are progress."""
        self._answered = self._now()
        self._said.discard("unanswered")
        if BEAT not in message:
            self._progressed = self._answered
            self._said.discard("stuck")

    def notices(self) -> Silence | None:
        """What is to be said or done now; each kind once for one silence."""
        now = self._now()
        unanswered, stuck = now - self._answered, now - self._progressed
        if self._patience is not None and stuck > self._patience:
            return Silence("over", stuck)
        if unanswered > UNANSWERED_SECONDS and "unanswered" not in self._said:
            self._said.add("unanswered")
            return Silence("unanswered", unanswered)
        if stuck > STUCK_SECONDS and not self._said:
            self._said.add("stuck")
            return Silence("stuck", stuck)
        return None


def state_in_words(pid: int, proc: Path = Path("/proc")) -> str:
    """What the kernel says of a process that does not answer."""
    try:
        state = (proc / str(pid) / "stat").read_text().rpartition(")")[2].split()[0]
    except (OSError, IndexError):
        return BUSY
    return STATES.get(state, BUSY).format(pid=pid)


def where_it_hangs(pid: int, log: Path, *, patience: float = 2.0) -> str | None:
    """The innermost frame of the main thread, from the stacks that the process dumps into its log on demand.

    None where it dumps none in time.
    """
    before = log.stat().st_size if log.exists() else 0
    try:
        os.kill(pid, signal.SIGUSR1)
    except ProcessLookupError:
        return None
    until = time.monotonic() + patience
    while time.monotonic() < until:
        time.sleep(0.1)
        frame = innermost(log.read_bytes()[before:].decode("utf-8", "replace"))
        if frame is not None:
            return frame
    return None


def innermost(dump: str) -> str | None:
    """The first frame of the thread that faulthandler calls the current one, which is the main thread's."""
    _, mark, rest = dump.rpartition("Current thread")
    frames = [line.strip() for line in rest.splitlines()[1:] if line.strip().startswith("File")]
    return frames[0] if mark and frames else None
