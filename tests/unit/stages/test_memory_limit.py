"""Whether memory was why a stage failed, in the words of those that say so."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.stages import memory_limit
from harness.stages.memory_limit import explained

TORCH = "RuntimeError: DefaultCPUAllocator: can't allocate memory: you tried to allocate 8 bytes."


@pytest.mark.parametrize("said", [TORCH, "MemoryError: ", "OSError: [Errno 12] Cannot allocate memory"])
def test_what_libraries_say_is_one_line_with_a_remedy(said: str) -> None:
    assert explained(said).startswith("the host's memory ran out")
    assert explained(said).endswith(memory_limit.REMEDY)


def test_a_kill_and_a_log_that_tells_of_memory_name_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory_limit, "_address_space", lambda: None)
    assert explained("was ended by SIGKILL", killed=True).endswith(memory_limit.REMEDY)
    assert explained("exit code 1", "OpenBLAS: pthread_create failed").endswith(memory_limit.REMEDY)
    assert explained("KeyError: 'x'", "Traceback") == "KeyError: 'x'"


def test_limits_are_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "memory.max").write_text("2147483648\n")
    (tmp_path / "no limit").write_text("max\n")
    monkeypatch.setattr(memory_limit, "_address_space", lambda: 3 << 30)
    found = dict(memory_limit._limits((tmp_path / "memory.max", tmp_path / "no limit", tmp_path / "none")))
    assert found == {"ulimit -v": 3 << 30, "the control group": 2 << 30}
    assert "it may be that memory ran out (ulimit -v allows 3.0 GiB" in explained("SystemError: x")
