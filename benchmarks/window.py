"""What measuring costs: a small training loop under the meters beside the same loop without."""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Callable

import torch

from harness.measure.energy import EnergyMeter
from harness.measure.memory import MemoryMeter
from harness.measure.window import Window

PAIRS = 15
STEPS = 40
WIDTH = 256


class Loop:
    """Forward, backward and step of a small network on fixed numbers."""

    def __init__(self) -> None:
        torch.manual_seed(0)
        self._device = "cuda" if torch.cuda.is_available() else "cpu"
        layers = (torch.nn.Linear(WIDTH, 4 * WIDTH), torch.nn.ReLU(), torch.nn.Linear(4 * WIDTH, WIDTH))
        self._network = torch.nn.Sequential(*layers).to(self._device)
        self._optimizer = torch.optim.AdamW(self._network.parameters())
        self._batch = torch.randn(64, WIDTH, device=self._device)

    def plain(self) -> None:
        """All steps, nothing measured."""
        for _ in range(STEPS):
            self._step()

    def metered(self) -> None:
        """The same as a stage is measured, with one nested evaluation phase in five steps."""
        window = Window()
        memory, energy = MemoryMeter(device=self._device), EnergyMeter(device=self._device)
        memory.start()
        energy.start()
        with window.phase("train"):
            for step in range(STEPS):
                self._step()
                if step % 5 == 0:
                    with window.phase("evaluation"):
                        pass
        memory.freeze()
        energy.stop()

    def _step(self) -> None:
        self._optimizer.zero_grad()
        self._network(self._batch).square().mean().backward()
        self._optimizer.step()

    def seconds(self, run: Callable[[], None]) -> float:
        """Of one call, with the device waited for."""
        self._wait()
        began = time.perf_counter()
        run()
        self._wait()
        return time.perf_counter() - began

    def _wait(self) -> None:
        if self._device == "cuda":
            torch.cuda.synchronize()


def phase_microseconds(rounds: int = 20_000) -> float:
    """The cost of one empty phase: the fastest of five tries, since others share the machine."""
    window = Window()

    def try_once() -> float:
        began = time.perf_counter()
        for _ in range(rounds):
            with window.phase("evaluation"):
                pass
        return (time.perf_counter() - began) / rounds * 1e6

    return min(try_once() for _ in range(5))


def main() -> None:
    """Print the median of paired ratios, its quartiles and a phase's cost; then as one line of JSON."""
    torch.set_num_threads(1)
    loop = Loop()
    loop.plain()
    loop.metered()
    plain, metered = [], []
    for number in range(PAIRS):
        # Whichever goes second finds a warmer machine, so they take turns.
        order = (loop.plain, loop.metered) if number % 2 else (loop.metered, loop.plain)
        for run in order:
            (plain if run == loop.plain else metered).append(loop.seconds(run))
    ratios = [m / p for m, p in zip(metered, plain, strict=True)]
    low, middle, high = statistics.quantiles(ratios, n=4)
    print(f"{'loop':8} {'median s':>9}")
    print(f"{'plain':8} {statistics.median(plain):9.4f}")
    print(f"{'metered':8} {statistics.median(metered):9.4f}")
    print(f"metered / plain: {middle:.4f} (quartiles {low:.4f} to {high:.4f}, {PAIRS} pairs)")
    phase = phase_microseconds()
    print(f"one empty phase: {phase:.2f} microseconds")
    figures = {"ratio": middle, "quartiles": [low, high], "pairs": PAIRS, "phase_microseconds": phase}
    print(json.dumps({"benchmark": "window", **figures}))


if __name__ == "__main__":
    main()
