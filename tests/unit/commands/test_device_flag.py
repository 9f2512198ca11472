"""`--device` on the command line: what is chosen, what is told, and that a mistake starts nothing."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from harness import cli
from harness.commands import doctor
from harness.measure import gpus
from harness.measure.gpus import DEVICE
from harness.measure.nvml import ListedGpu


@pytest.fixture(autouse=True)
def two_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (DEVICE, "CUDA_VISIBLE_DEVICES"):
        monkeypatch.delenv(name, raising=False)
    listed = [ListedGpu(index, f"GPU number {index}", f"GPU-{index}{index}", 80 << 30) for index in range(2)]
    monkeypatch.setattr(gpus, "list_gpus", lambda: listed)
    monkeypatch.setattr(doctor, "hub_reachable", lambda: False)


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr(sys, "argv", ["harness", *arguments])
    return cli._run()


@pytest.mark.parametrize("command", [["compare"], ["plan"], ["cost"], ["score", "--benchmark", "rubric"]])
def test_a_gpu_that_is_not_there_is_one_message_and_nothing_runs(
    command: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, *command, "--device", "GPU-99", "--out", str(tmp_path / "runs")) == 2
    printed = capsys.readouterr().err
    assert "no GPU GPU-99" in printed
    assert "0: GPU number 0, 80 GiB (GPU-00); 1: GPU number 1" in printed
    assert not (tmp_path / "runs").exists()


def test_the_variable_is_the_flag(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setenv(DEVICE, "5")
    assert run(monkeypatch, "compare", "--out", str(tmp_path / "runs")) == 2
    assert "no GPU 5" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "chosen"), [((), 0), (("--device", "1"), 1), (("--device", "GPU-11"), 1)]
)
def test_doctor_lists_the_gpus_and_the_one_that_would_be_used(
    arguments: tuple[str, ...],
    chosen: int,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run(monkeypatch, "doctor", *arguments) == 0
    lines = [line for line in capsys.readouterr().out.splitlines() if "GPU number" in line]
    assert [line.split()[:2] for line in lines] == [["GPU", "0"], ["GPU", "1"]]
    assert ["chosen" in line for line in lines] == [index == chosen for index in range(2)]


def test_plans_of_two_gpus_share_no_cost(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from harness.running import resolve

    devices = []
    monkeypatch.setattr(resolve, "driver_version", lambda: "550.1")
    for device in ("0", "1"):
        with gpus.using(device):
            devices.append(resolve._device())
    assert devices == ["cuda:GPU-00", "cuda:GPU-11"]
