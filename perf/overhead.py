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
from dataclasses import replace
from pathlib import Path
from typing import Any

from harness.methods._engine import run_trainer
from harness.methods._load import load_pairs
from scipy import stats
from transformers import TrainerCallback

from harness.data.prepare import PrepareConfig, prepare
from harness.measure.conditions import ConditionsMeter, GpuReading
from harness.measure.window import Window
from harness.methods import TrainJob, _orpo_trainer, orpo
from harness.pipeline.spec import DataSpec

PAIRS, STEPS, BATCH = 24, 8, 32
MOST_SLOW_DOWN, MOST_CPU = 0.03, 0.01
READING_SECONDS = 0.001


class NoWindow(Window):
    """A window that measures nothing."""

    @contextlib.contextmanager
    def phase(self, name: str) -> Iterator[None]:
        yield

    def so_far(self) -> float:
        return 0.0

    def joules_so_far(self) -> None:
        return None


class BusyGpu:
    """A reading that keeps the processor busy for longer than NVML's calls do."""

    def reading(self) -> GpuReading:
        until = time.perf_counter() + READING_SECONDS
        while time.perf_counter() < until:
            pass
        return GpuReading(1500.0, 700.0, 0, 0)


class Blocks(TrainerCallback):
    """Switches measuring on and off from block to block, and times each."""

    def __init__(self) -> None:
        self.seconds: list[dict[bool, float]] = []
        self.sampler = 0.0
        order = random.Random(0)
        self._order = [on for _ in range(PAIRS + 1) for on in order.sample([True, False], 2)]
        self._trainer: Any = None
        self._meter: ConditionsMeter | None = None

    def watch(self, trainer: Any) -> None:
        """The trainer whose job's window is switched."""
        self._trainer, self._job = trainer, trainer.job

    def on_step_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if state.global_step % STEPS:
            return
        measured = self._order[state.global_step // STEPS]
        self._trainer.job = self._job if measured else replace(self._job, window=NoWindow())
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
    config = orpo.Config.model_validate({**settings, "max_steps": steps})
    job = TrainJob(
        config=config,
        seed=0,
        prepared=folder,
        model=facts["model_path"],
        revision=None,
        out=folder,
        window=Window(),
        report=lambda *_: None,
        rows=tuple(range(STEPS * BATCH)),
    )
    blocks = Blocks()

    def build(*arguments: Any) -> Any:
        trainer = _orpo_trainer.build(*arguments)
        blocks.watch(trainer)
        return trainer

    run_trainer(job, build, load_pairs(folder / "train.parquet"), callbacks=[blocks], probes=False)
    return blocks


if __name__ == "__main__":
    sys.exit(main())
