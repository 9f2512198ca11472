"""Who computes on the GPU when a comparison starts."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from unit.measure.test_nvml import FakeLibrary

from harness.measure import gpus
from harness.measure.gpus import Choice, Gpu
from harness.measure.nvml import Nvml
from harness.running import neighbours


def test_other_processes_are_named_and_this_one_is_not(tmp_path: Path) -> None:
    found = Nvml(library=FakeLibrary(pids=(4242, os.getpid(), 7))).neighbours()
    assert found == [4242, 7]
    (tmp_path / "4242").mkdir()
    (tmp_path / "4242" / "comm").write_text("python\n")
    said = neighbours.in_words(found, tmp_path)
    assert said.startswith("2 other processes compute on this GPU now (process 4242 python of ")
    assert ", 7): times, energy and memory will be disturbed" in said


def test_a_gpu_that_does_not_tell_has_no_neighbours() -> None:
    library = FakeLibrary(refused=("nvmlDeviceGetComputeRunningProcesses",), pids=(1,))
    assert Nvml(library=library).neighbours() == []


def test_the_chosen_gpu_is_asked_and_one_line_said(monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    library = FakeLibrary(pids=(1,))
    monkeypatch.setattr(gpus, "chosen", lambda: Choice(Gpu("cuda", "GPU-chosen")))
    monkeypatch.setattr(neighbours, "Nvml", lambda gpu: Nvml(library=library, gpu=gpu))
    neighbours.print_neighbours(Console(soft_wrap=True))
    assert library.handles == ["GPU-chosen"]
    assert "1 other process computes on this GPU now (process 1" in capsys.readouterr().out
    monkeypatch.setattr(gpus, "chosen", lambda: Choice(None))
    neighbours.print_neighbours(Console())
    assert capsys.readouterr().out == ""
