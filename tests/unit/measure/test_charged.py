"""A stage is charged for all of its own work and for nothing else: seconds and bytes, phase by phase."""

from __future__ import annotations

from typing import Any

import pytest

from harness.measure.memory import HostMemory, MemoryMeter
from harness.measure.window import (
    AUDIT,
    EVALUATION,
    HEADLINE_PHASES,
    REFERENCE,
    REFERENCE_READ,
    ROLLOUT_PHASES,
    Charged,
    Window,
)
from harness.records import Measurement, WindowState

MIB = 2**20
IMPORTS = 100 * MIB


class Machine(HostMemory):
    """A clock and a memory that planted work uses up; the kernel's mark goes back to the level."""

    def __init__(self) -> None:
        super().__init__()
        self.time, self.level, self.mark, self.cached = 0.0, IMPORTS, IMPORTS, 0

    def now(self) -> float:
        return self.time

    def synchronize(self) -> None:
        """Nothing is asynchronous here."""

    def work(self, seconds: float, mib: int, *, leaves: int = 0) -> None:
        """Take `seconds`, hold `mib` at the most, and keep `leaves` of them in a cache."""
        self.time += seconds
        self.mark = max(self.mark, self.level + mib * MIB)
        self.level += leaves * MIB
        self.cached += leaves * MIB

    def reset(self) -> None:
        self.mark = self.level

    def peak(self) -> int:
        return self.mark

    def release(self) -> None:
        self.level -= self.cached
        self.cached = 0


def stage(machine: Machine, window: Window, *, observed: bool) -> None:
    """A training stage with planted work, each phase of its own size; watched or not."""

    def observe(phase: str, seconds: float) -> None:
        if observed:
            with window.phase(phase):
                machine.work(seconds, 4000, leaves=500)

    machine.work(1000, 0)
    with window.phase("model_load"):
        machine.work(2, 30)
        observe(AUDIT, 100)
        machine.work(1, 10)
    observe(AUDIT, 200)
    with window.phase("reference"):
        machine.work(5, 40)
    with window.phase("train"):
        machine.work(7, 50)
        observe(EVALUATION, 300)
        machine.work(7, 60)
        observe(AUDIT, 400)
        machine.work(7, 20)
        for number, rollout in enumerate(ROLLOUT_PHASES):
            with window.phase(rollout):
                machine.work(11 + number, 25)
                observe(AUDIT, 500)
    with window.phase("save"):
        machine.work(3, 5)


def run(*, observed: bool) -> tuple[dict[str, float], dict[str, Measurement]]:
    machine = Machine()
    meter = MemoryMeter(device="cpu", host=machine)
    window = Window(clock=machine, peaks=meter)
    meter.start()
    stage(machine, window, observed=observed)
    meter.freeze()
    machine.work(50, 9000)
    return window.seconds, {m.quantity: m for m in meter.measurements()}


def test_each_phase_holds_all_and_only_its_own_work() -> None:
    seconds, memory = run(observed=True)
    assert seconds == {
        "model_load": 3,
        "reference": 5,
        "train": 21,
        **{rollout: 11 + number for number, rollout in enumerate(ROLLOUT_PHASES)},
        "save": 3,
        AUDIT: 100 + 200 + 400 + 3 * 500,
        EVALUATION: 300,
    }
    assert memory["host_growth_bytes"].value == 60 * MIB
    assert memory["peak_memory_bytes"].value == IMPORTS + 60 * MIB
    assert memory["peak_memory_bytes"].source == "host memory: VmHWM, highest in train"


def test_observing_a_stage_changes_nothing_that_it_is_charged() -> None:
    (watched, its_memory), (alone, memory) = run(observed=True), run(observed=False)
    assert {p: watched[p] for p in HEADLINE_PHASES} == {p: alone[p] for p in HEADLINE_PHASES}
    assert {q: m.value for q, m in its_memory.items()} == {q: m.value for q, m in memory.items()}


def trained_from(state: WindowState | None) -> tuple[Window, dict[str, Measurement]]:
    """A stage that trains after a reference's pass, or is charged for one that `state` tells of."""
    machine = Machine()
    machine.level = machine.mark = (300 if state else 100) * MIB
    meter = MemoryMeter(device="cpu", host=machine)
    window = Window(clock=machine, peaks=meter)
    meter.start()
    if state is None:
        with window.phase(REFERENCE):
            machine.work(5, 90)
    else:
        window.charge(state, Charged("a/dpo@0 (d)"))
        with window.phase(REFERENCE_READ):
            machine.work(1, 5000, leaves=500)
    with window.phase("train"):
        machine.work(7, 50)
    return window, {m.quantity: m for m in meter.measurements()}


def test_a_pass_of_another_stage_is_charged_whole() -> None:
    """Its peak stands above the imports of this process, which may be others."""
    made, of_made = trained_from(None)
    read, of_read = trained_from(made.state((REFERENCE,)))
    assert (made.headline(), read.headline()) == (12, 12)
    assert read.seconds == {REFERENCE: 5, REFERENCE_READ: 1, "train": 7}
    assert of_made["host_growth_bytes"].value == of_read["host_growth_bytes"].value == 90 * MIB
    assert of_read["peak_memory_bytes"].value == 390 * MIB
    highest = "host memory: VmHWM, highest in reference"
    assert of_made["peak_memory_bytes"].source == highest
    assert of_read["peak_memory_bytes"].source == f"{highest}, measured in a/dpo@0 (d)"


def test_booking_memory_is_on_nobodys_clock() -> None:
    machine = Machine()

    class SlowBooks:
        def book(self, phase: str | None) -> None:
            machine.time += 10

    window = Window(clock=machine, peaks=SlowBooks())
    with window.phase("train"):
        machine.work(1, 0)
    with window.phase("save"):
        machine.work(2, 0)
    assert window.seconds == {"train": 1, "save": 2}


@pytest.mark.parametrize("phase", ["generation", "scoring"])
def test_a_stage_that_does_not_train_is_charged_for_all_of_its_work(phase: str) -> None:
    machine = Machine()
    meter = MemoryMeter(device="cpu", host=machine)
    window = Window(clock=machine, peaks=meter)
    meter.start()
    with window.phase(phase):
        machine.work(1, 70)
    assert {m.quantity: m.value for m in meter.measurements()}["host_growth_bytes"] == 70 * MIB


def test_a_fingerprint_holds_a_chunk_at_a_time() -> None:
    """One embedding of 128k tokens was copied into 3.9 GiB of float64."""
    import torch
    from torch.utils._python_dispatch import TorchDispatchMode

    from harness.training.fingerprint import CHUNK, fingerprint_weights

    largest = 0

    class Recorder(TorchDispatchMode):
        def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            nonlocal largest
            result = func(*args, **(kwargs or {}))
            if isinstance(result, torch.Tensor) and result.dtype == torch.float64:
                largest = max(largest, result.numel())
            return result

    model = torch.nn.Linear(2048, 2048)
    with Recorder():
        first = fingerprint_weights(model)
    assert 0 < largest <= CHUNK < model.weight.numel()
    with torch.no_grad():
        model.weight[-1, -1] += 1
    assert fingerprint_weights(model) != first
