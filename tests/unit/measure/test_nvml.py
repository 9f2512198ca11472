"""NVML's readings through a library that a test scripts."""

from __future__ import annotations

import os
from types import SimpleNamespace
from typing import Any

import pytest
from fake_torch import use

from harness.measure.nvml import ListedGpu, Nvml, chosen_gpu, list_gpus


class FakeLibrary:
    """The part of pynvml that is asked; `refused` names readings that the GPU does not have."""

    NVML_CLOCK_SM, NVML_CLOCK_MEM = 1, 2

    class NVMLError(Exception):
        """Not Supported."""

    def __init__(self, *, refused: tuple[str, ...] = (), pids: tuple[int, ...] = ()) -> None:
        self._refused, self._pids = refused, pids
        self.handles: list[Any] = []

    def __getattr__(self, name: str) -> Any:
        answers = {
            "nvmlInit": None,
            "nvmlDeviceGetHandleByIndex": "gpu",
            "nvmlDeviceGetHandleByUUID": "gpu",
            "nvmlDeviceGetTotalEnergyConsumption": 12_500,
            "nvmlDeviceGetName": b"Fake GPU",
            "nvmlDeviceGetUUID": "GPU-1",
            "nvmlSystemGetDriverVersion": "600.1",
            "nvmlDeviceGetMemoryInfo": SimpleNamespace(total=1000, used=400),
            "nvmlDeviceGetPowerManagementLimit": 700_000,
            "nvmlDeviceGetClockInfo": 1500,
            "nvmlDeviceGetMaxClockInfo": 1980,
            "nvmlDeviceGetCurrentClocksThrottleReasons": 4,
            "nvmlDeviceGetComputeRunningProcesses": [
                SimpleNamespace(pid=pid, usedGpuMemory=77) for pid in self._pids
            ],
        }

        def call(*arguments: Any) -> Any:
            if name in self._refused:
                raise self.NVMLError("Not Supported")
            if "Handle" in name:
                self.handles.append(arguments[0])
            return answers[name]

        return call


def test_readings_are_in_base_units() -> None:
    gpu = Nvml(library=FakeLibrary())
    assert gpu.energy_joules() == 12.5
    facts = gpu.facts()
    assert (facts["name"], facts["power_limit_watts"], facts["sm_clock_limit_mhz"]) == ("Fake GPU", 700, 1980)


def test_a_refused_reading_is_none_and_the_others_stay() -> None:
    facts = Nvml(library=FakeLibrary(refused=("nvmlDeviceGetPowerManagementLimit",))).facts()
    assert (facts["power_limit_watts"], facts["uuid"]) == (None, "GPU-1")


def test_this_processs_memory_is_found_by_its_id() -> None:
    assert Nvml(library=FakeLibrary(pids=(1, os.getpid()))).process_bytes() == 77
    assert Nvml(library=FakeLibrary(pids=(1,))).process_bytes() is None
    assert Nvml(library=FakeLibrary()).device_bytes() == 400


@pytest.mark.parametrize(
    ("visible", "handle"), [("3,1", 3), ("", 0), ("GPU-abc", "GPU-abc"), ("MIG-xyz", "MIG-xyz")]
)
def test_the_first_visible_gpu_is_asked(visible: str, handle: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    library = FakeLibrary()
    Nvml(library=library)
    assert library.handles == [handle]


def test_torchs_own_uuid_wins_over_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    fake = use(monkeypatch, "cuda")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3")
    assert chosen_gpu() == "GPU-12-34"
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "GPU-56")
    assert chosen_gpu() == "GPU-56"
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3")
    fake.initialised = False
    assert chosen_gpu() == "3"


class FakeSlots(FakeLibrary):
    """Two GPUs: the first whole, the second cut into two slices, a third slice refused."""

    def __getattr__(self, name: str) -> Any:
        def slice_of(gpu: str, place: int) -> str:
            if place == 1:
                raise self.NVMLError("Not Found")
            return f"MIG-{place}"

        answers = {
            "nvmlInit": lambda: None,
            "nvmlDeviceGetCount": lambda: 2,
            "nvmlDeviceGetHandleByIndex": lambda index: f"GPU-{index}",
            "nvmlDeviceGetMigMode": lambda gpu: [int(gpu == "GPU-1"), 0],
            "nvmlDeviceGetMaxMigDeviceCount": lambda gpu: 3,
            "nvmlDeviceGetMigDeviceHandleByIndex": slice_of,
            "nvmlDeviceGetName": lambda gpu: b"Fake GPU",
            "nvmlDeviceGetUUID": lambda gpu: gpu,
            "nvmlDeviceGetMemoryInfo": lambda gpu: SimpleNamespace(total=1000),
        }
        return answers[name]


def test_a_gpu_that_is_cut_is_listed_as_its_slices() -> None:
    assert list_gpus(FakeSlots()) == [
        ListedGpu(index, "Fake GPU", uuid, 1000) for index, uuid in ((0, "GPU-0"), (1, "MIG-0"), (1, "MIG-2"))
    ]


def test_without_the_driver_there_is_no_list() -> None:
    with pytest.raises(RuntimeError, match="NVML"):
        list_gpus(FakeLibrary(refused=("nvmlInit",)))


def test_a_machine_without_the_driver_says_so() -> None:
    with pytest.raises(RuntimeError, match="NVML: Not Supported"):
        Nvml(library=FakeLibrary(refused=("nvmlInit",)))


def test_an_unreadable_choice_of_gpu_is_a_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "first")
    with pytest.raises(RuntimeError, match="invalid literal"):
        Nvml(library=FakeLibrary())
