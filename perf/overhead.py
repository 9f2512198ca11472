"""What measuring costs: real ORPO steps under the window and the sampler beside the same without.

Blocks of the same steps on the same rows, measured and bare in a random order within each pair.
Exits 1 where the upper 95% bound of the slow-down is above 3%, or the sampler's CPU time above 1%.
"""

from __future__ import annotations

import contextlib
import json
import math
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from scipy import stats
from transformers import TrainerCallback

from harness.data.prepare import PrepareConfig, prepare
from harness.measure.conditions import ConditionsMeter, GpuReading
from harness.measure.window import Window
from harness.methods import orpo
from harness.pipeline.data_spec import DataSpec
from harness.training.collate import read_rows
from harness.training.job import TrainJob
from harness.training.run import run_trainer

PAIRS, STEPS, BATCH = 24, 8, 32
MOST_SLOW_DOWN, MOST_CPU = 0.03, 0.01
READING_SECONDS = 0.001


class SwitchedWindow(Window):
    """A window that measures only while it is on."""

    on = True

    @contextlib.contextmanager
    def phase(self, name: str) -> Iterator[None]:
        if not self.on:
            yield
            return
        with super().phase(name):
            yield

    def so_far(self) -> float:
        return super().so_far() if self.on else 0.0

    def joules_so_far(self) -> float | None:
        return super().joules_so_far() if self.on else None


class BusyGpu:
    """A reading that keeps the processor busy for longer than NVML's calls do."""

    def reading(self) -> GpuReading:
        until = time.perf_counter() + READING_SECONDS
        while time.perf_counter() < until:
            pass
        return GpuReading(1500.0, 700.0, 0, 0)


class Blocks(TrainerCallback):
    """Switches measuring on and off from block to block, and times each."""

    def __init__(self, window: SwitchedWindow) -> None:
        self.seconds: list[dict[bool, float]] = []
        self.sampler = 0.0
        order = random.Random(0)
        self._order = [on for _ in range(PAIRS + 1) for on in order.sample([True, False], 2)]
        self._window = window
        self._meter: ConditionsMeter | None = None

    def on_step_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if state.global_step % STEPS:
            return
        measured = self._order[state.global_step // STEPS]
        self._window.on = measured
        self._began = time.perf_counter()
        if measured:
            self._meter = ConditionsMeter(gpu=BusyGpu())
            self._meter.start()

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if state.global_step % STEPS:
            return
        number = state.global_step // STEPS - 1
        if self._meter is not None:
            self.sampler += self._meter.stop().sampler_cpu_seconds
            self._meter = None
        if number % 2 == 0:
            self.seconds.append({})
        self.seconds[-1][self._order[number]] = time.perf_counter() - self._began


def main() -> int:
    """Print the slow-down with its bound, and the sampler's share; then as one line of JSON."""
    with tempfile.TemporaryDirectory() as folder:
        blocks = _run(Path(folder))
    pairs = blocks.seconds[1:]
    logs = [math.log(pair[True] / pair[False]) for pair in pairs]
    mean, error = statistics.fmean(logs), statistics.stdev(logs) / math.sqrt(len(logs))
    upper = math.exp(mean + float(stats.t.ppf(0.95, len(logs) - 1)) * error) - 1
    share = blocks.sampler / sum(pair[True] for pair in blocks.seconds)
    print(
        f"slow-down by measuring: {math.exp(mean) - 1:+.2%}, upper 95% bound {upper:+.2%}, {len(pairs)} pairs"
    )
    print(f"sampler's CPU time: {share:.2%} of the measured blocks")
    figures = {
        "slow_down": math.exp(mean) - 1,
        "upper_95": upper,
        "pairs": len(pairs),
        "sampler_share": share,
    }
    print(json.dumps({"benchmark": "overhead", **figures}))
    return int(upper > MOST_SLOW_DOWN or share > MOST_CPU)


def _run(folder: Path) -> Blocks:
    data = DataSpec(source="embedded", max_length=64)
    facts = prepare(PrepareConfig(model="embedded", data=data), folder, lambda *_: None)
    steps = 2 * STEPS * (PAIRS + 1)
    settings = {"learning_rate": 1e-5, "lambda": 0.25, "batch_size": BATCH, "micro_batch_size": 16}
    window = SwitchedWindow()
    job = TrainJob(
        method="orpo",
        config=orpo.Config.model_validate({**settings, "max_steps": steps}),
        seed=0,
        prepared=folder,
        facts=facts,
        model=str(facts.model_path),
        revision=None,
        out=folder,
        window=window,
        report=lambda *_: None,
        rows=tuple(range(STEPS * BATCH)),
    )
    blocks = Blocks(window)
    run_trainer(job, read_rows(job.train_file), callbacks=[blocks], observed=False)
    return blocks


if __name__ == "__main__":
    sys.exit(main())
