"""What a stage tells its parent while it runs."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from harness.stages import context
from harness.stages.context import ProgressPipe, Reporter


def test_memory_is_read_once_a_second_and_every_step_is_told(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    now, reads = [100.0], list[int]()
    alive = tmp_path / "alive"
    alive.touch()
    os.utime(alive, (1.0, 1.0))

    def memory() -> int:
        reads.append(1)
        return 7 << 20

    monkeypatch.setattr(context.time, "monotonic", lambda: now[0])
    read_end, write_end = os.pipe()
    report = Reporter(ProgressPipe(write_end), memory, alive)
    for step in range(1, 10):
        report(step, 9, {"loss": 0.5})
        now[0] += 0.25
    os.close(write_end)
    with os.fdopen(read_end) as lines:
        messages: list[dict[str, Any]] = [json.loads(line) for line in lines]
    assert [message["step"] for message in messages] == list(range(1, 10))
    assert all(message["metrics"] == {"loss": 0.5} and message["total"] == 9 for message in messages)
    assert len(reads) == 3
    assert [message["step"] for message in messages if "memory" in message] == [1, 5, 9]
    assert alive.stat().st_mtime > 1.0, "an attempt that is killed leaves behind how far it came"
