"""Each training stage of the embedded comparison beside stock TRL's script for the same method.

    python perf/training.py [--repeats 5] [--limit PAIRS]

Ours and stock take turns, in fresh processes, on the same pairs from the same weights with the same
settings; which goes first alternates. `train_seconds` is training alone, in both. `wall_seconds` runs
from the model's load to the saved checkpoint; stock tokenises in it, ours before it. Exits 1 where
the lower 95% bound of a ratio of train_seconds is above 1: that stage is slower than stock.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import pyarrow.parquet
from rich.console import Console
from scipy import stats

from harness.measure.environment import device_identity
from harness.measure.gpu_lock import GpuLock
from harness.pipeline.load import find_comparison, load_comparison
from harness.pipeline.overrides import Overrides
from harness.pipeline.plan import plan_comparison
from harness.records import PlannedStage, PrepareFacts
from harness.running.execute import Execution
from harness.running.resolve import is_local, resolve
from harness.running.showing import Showing
from harness.store.run_dir import RunRoot

STOCK = Path(__file__).parent / "stock"
QUANTITIES = ("train_seconds", "wall_seconds")
Figures = dict[str, float]


@dataclass(frozen=True)
class Ratio:
    """Ours over stock: the geometric mean with its 95% t-interval on logs, absent below two repeats."""

    mean: float
    low: float | None
    high: float | None

    @property
    def verdict(self) -> str:
        """What the interval allows to say."""
        if self.low is None or self.high is None:
            return "one repeat, no interval"
        if self.low > 1:
            return "slower than stock"
        return "at most as long" if self.high <= 1 else "not separable"


def ratio(ours: list[float], stock: list[float]) -> Ratio:
    """The ratio of paired repeats."""
    logs = [math.log(a / b) for a, b in zip(ours, stock, strict=True)]
    mean = statistics.fmean(logs)
    if len(logs) < 2:
        return Ratio(math.exp(mean), None, None)
    half = float(stats.t.ppf(0.975, len(logs) - 1)) * statistics.stdev(logs) / math.sqrt(len(logs))
    return Ratio(math.exp(mean), math.exp(mean - half), math.exp(mean + half))


class Duel:
    """The embedded comparison's training stages, and what stock needs to train the same."""

    def __init__(self, folder: Path, repeats: int, limit: int | None) -> None:
        sets = [f"repeats={repeats}", "score=[]", *([f"data.limit={limit}"] if limit else [])]
        overrides = Overrides(arms=["sft_dpo", "orpo"], seeds="1", sets=sets)
        spec = load_comparison(find_comparison("embedded", model=None), overrides)
        self.folder, self.max_length = folder, spec.data.max_length
        self.plan, self.root = plan_comparison(spec, resolve(spec)), RunRoot(folder / "runs")
        self.root.open_for_writing()
        watchers = Showing(self.root, Console(stderr=True), file=False).watch(self.plan)
        self.execution = Execution(self.plan, self.root, watchers, offline=is_local(spec))
        self.execution.run([self.plan.prepare])
        self._write_pairs()

    def _write_pairs(self) -> None:
        """The prepared pairs as conversations."""
        prepared = self.root.stage_folder(self.plan.prepare)
        table = pyarrow.parquet.read_table(
            prepared / "train.parquet", columns=["prompt", "chosen", "rejected"]
        )
        with (self.folder / "pairs.jsonl").open("w", encoding="utf-8") as sink:
            for row in table.to_pylist():
                answers = {
                    side: [{"role": "assistant", "content": row[side]}] for side in ("chosen", "rejected")
                }
                sink.write(json.dumps({"prompt": json.loads(row["prompt"]), **answers}) + "\n")

    def stages(self, repeat: int) -> list[str]:
        """Digests of one repeat's training stages: SFT before the DPO that starts from it."""
        cells = [cell for cell in self.plan.cells if cell.repeat == repeat]
        return list(dict.fromkeys(digest for cell in cells for digest in cell.stages))

    def ours(self, digest: str) -> Figures:
        """Run our stage; its ledger's seconds and steps."""
        self.execution.run([digest])
        ledger = {m.quantity: m.value for m in self.execution.results[digest].ledger if m.value is not None}
        return {name: float(ledger[name]) for name in (*QUANTITIES, "steps")}

    def stock(self, digest: str) -> Figures:
        """Run stock TRL's script for the stage's method, in a folder and with a cache of its own."""
        stage = self.plan.stages[digest]
        with tempfile.TemporaryDirectory(dir=self.folder) as temporary:
            model = self._start(stage, Path(temporary))
            command = [sys.executable, str(STOCK / f"{stage.config['method']}.py"), "--model", str(model)]
            command += ["--pairs", str(self.folder / "pairs.jsonl"), "--out", f"{temporary}/out"]
            command += ["--settings", json.dumps(stage.config["config"]), "--seed", str(stage.seed)]
            command += ["--max-length", str(self.max_length)]
            quiet = {"HF_DATASETS_CACHE": f"{temporary}/cache", "TRL_EXPERIMENTAL_SILENCE": "1"}
            done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, **quiet})
        if done.returncode != 0:
            sys.exit(f"{' '.join(command)}\n{done.stderr}")
        figures: Figures = json.loads(done.stdout.splitlines()[-1])
        return figures

    def _start(self, stage: PlannedStage, temporary: Path) -> Path:
        """A folder with the weights that the stage starts from and the prepared tokenizer."""
        prepared = self.execution.results[self.plan.prepare]
        before = stage.needs.get("model")
        weights = (
            self.root.stage_folder(before) / "model"
            if before
            else Path(str(prepared.facts_as(PrepareFacts).model_path))
        )
        shutil.copytree(weights, temporary / "model")
        tokenizer = self.root.stage_folder(self.plan.prepare) / "tokenizer"
        shutil.copytree(tokenizer, temporary / "model", dirs_exist_ok=True)
        return temporary / "model"


def measure(duel: Duel, repeats: int) -> dict[str, list[tuple[Figures, Figures]]]:
    """By method, (ours, stock) of every repeat but the first, which fills the disk's cache."""
    seconds: dict[str, list[tuple[Figures, Figures]]] = {}
    for repeat in range(repeats + 1):
        for digest in duel.stages(repeat):
            # Ours first and stock first in turn, so that a drift of the machine meets both alike.
            if repeat % 2:
                stock = duel.stock(digest)
                ours = duel.ours(digest)
            else:
                ours = duel.ours(digest)
                stock = duel.stock(digest)
            if ours.pop("steps") != stock.pop("steps"):
                sys.exit(f"{duel.plan.stages[digest].name}: ours and stock took different numbers of steps")
            if repeat:
                seconds.setdefault(duel.plan.stages[digest].config["method"], []).append((ours, stock))
    return seconds


def report(seconds: dict[str, list[tuple[Figures, Figures]]]) -> int:
    """Print a table and the same as one line of JSON; 1 where training is slower than stock."""
    print(f"{'method':7} {'quantity':14} {'ours s':>8} {'stock s':>8} {'ratio':>6}  95% interval    verdict")
    rows, slower = [], False
    for method, pairs in seconds.items():
        for name in QUANTITIES:
            ours, stock = [pair[0][name] for pair in pairs], [pair[1][name] for pair in pairs]
            one = ratio(ours, stock)
            slower |= name == "train_seconds" and one.verdict == "slower than stock"
            interval = "" if one.low is None else f"{one.low:.3f} to {one.high:.3f}"
            medians = f"{statistics.median(ours):8.2f} {statistics.median(stock):8.2f}"
            print(f"{method:7} {name:14} {medians} {one.mean:6.3f}  {interval:15} {one.verdict}")
            figures = {"ours": ours, "stock": stock, "ratio": one.mean, "low": one.low, "high": one.high}
            rows.append({"method": method, "quantity": name, **figures, "verdict": one.verdict})
    print(json.dumps({"benchmark": "training", "rows": rows}))
    return int(slower)


def main() -> int:
    """Measure and report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=5, help="paired repeats, after one that is dropped")
    parser.add_argument("--limit", type=int, help="pairs to train on, to try it")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, GpuLock(device_identity()):
        duel = Duel(Path(folder).resolve(), given.repeats + 1, given.limit)
        return report(measure(duel, given.repeats))


if __name__ == "__main__":
    sys.exit(main())
