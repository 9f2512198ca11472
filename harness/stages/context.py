"""What every stage's code is handed, and what it hands back."""

from __future__ import annotations

import contextlib
import json
import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.measure import device
from harness.measure.ranks import ALONE, Ranks
from harness.records import Facts, Measurement, PrepareFacts, Score, StageRequest, StageResult
from harness.sealed import read_sealed
from harness.stages.shares import Share

if TYPE_CHECKING:
    from harness.measure.conditions import ConditionsMeter
    from harness.measure.energy import EnergyMeter
    from harness.measure.memory import MemoryMeter
    from harness.measure.window import Window

Report = Callable[[int, int, dict[str, float]], None]


@dataclass
class Context:
    """One stage's request, its folder, its meters, the line to the parent and the ranks that share it.

    `shares` are what each rank took, once the meters have stopped.
    """

    request: StageRequest
    folder: Path
    window: Window
    memory: MemoryMeter
    energy: EnergyMeter
    conditions: ConditionsMeter
    report: Report
    ranks: Ranks = ALONE
    shares: list[Share] = field(default_factory=list)

    @property
    def prepared(self) -> Path:
        """The folder of the prepare stage."""
        return Path(self.request.inputs["prepared"])

    def stop_meters(self) -> None:
        """End of the measured work: what runs after this is not part of the stage's cost."""
        self.memory.freeze()
        self.energy.stop()
        self.conditions.stop()
        self.shares = self.ranks.told(self._share())

    def _share(self) -> Share:
        return Share(
            seconds=dict(self.window.seconds),
            waited=dict(self.ranks.waited),
            joules=dict(self.window.joules),
            memory=self.memory.measurements(),
            device=device.uuid() if device.on_accelerator() else "cpu",
        )

    def prepared_facts(self) -> PrepareFacts:
        """What the prepare stage found out."""
        return read_result(self.prepared).facts_as(PrepareFacts)

    def model_path(self) -> str:
        """The trained model this stage starts from, or the base model."""
        if "model" in self.request.inputs:
            return str(Path(self.request.inputs["model"]) / "model")
        return str(self.prepared_facts().model_path)


@dataclass(frozen=True)
class Outcome:
    """What a stage's code found; the child adds time, memory, energy and environment.

    `kept_seconds` is the work of interrupted attempts that it went on from."""

    facts: Facts
    ledger: list[Measurement] = field(default_factory=list)
    scores: list[Score] = field(default_factory=list)
    outputs: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    kept_seconds: float = 0.0


def read_result(folder: Path) -> StageResult:
    """The result of a finished stage."""
    return read_sealed(folder / "result.json", StageResult)


MEMORY_EVERY_SECONDS = 1.0


class Reporter:
    """Reports steps through a pipe, at most once a second with the peak memory since the last phase began.

    Reading it takes some 50 microseconds, and steps are on the clock. `alive` is touched as often, so that
    an attempt that is killed leaves behind how far it came.
    """

    def __init__(self, pipe: ProgressPipe, memory: Callable[[], int | None], alive: Path) -> None:
        self._pipe, self._memory, self._alive = pipe, memory, alive
        self._read_at = -MEMORY_EVERY_SECONDS

    def __call__(self, step: int, total: int, metrics: dict[str, float]) -> None:
        message: dict[str, Any] = {"step": step, "total": total, "metrics": metrics}
        now = time.monotonic()
        if now - self._read_at >= MEMORY_EVERY_SECONDS:
            self._read_at = now
            message["memory"] = self._memory()
            with contextlib.suppress(OSError):  # The folder is gone; the parent will miss it.
                os.utime(self._alive)
        self._pipe.send(message)


class ProgressPipe:
    """Sends messages to the parent, one JSON object a line; silent where no one listens."""

    def __init__(self, fd: int | None) -> None:
        self._fd = fd
        # Beats come from a thread of their own, and long messages are written in parts.
        self._lock = threading.Lock()

    def send(self, message: dict[str, Any]) -> None:
        """Write one message; a parent that has gone away ends the reporting, not the work."""
        with self._lock:
            if self._fd is None:
                return
            try:
                os.write(self._fd, (json.dumps(message) + "\n").encode())
            except BrokenPipeError:
                self._fd = None
