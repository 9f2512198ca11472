"""What a stage tells its parent while it runs."""

from __future__ import annotations

import json
import os
from typing import Any

import pytest

from harness.stages import context
from harness.stages.context import ProgressPipe, Reporter


def test_memory_is_read_once_a_second_and_every_step_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    now, reads = [100.0], list[int]()

    def memory() -> int:
        reads.append(1)
        return 7 << 20

    monkeypatch.setattr(context.time, "monotonic", lambda: now[0])
    read_end, write_end = os.pipe()
    report = Reporter(ProgressPipe(write_end), memory)
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
