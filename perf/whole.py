"""The same work, ours beside theirs: `harness compare` and the stock scripts, whole, from nothing to scores.

    PYTHONPATH=. python perf/whole.py [--repeats 5] [--seeds 3] [--limit PAIRS] [--lm-eval]

Both train SFT, DPO from its weights, and ORPO at every seed, and score these and the base model: greedy
answers to the test prompts, graded by the embedded judge, and log-probs of the test pairs; with `--lm-eval`
also lm-eval's multiple choice over them. Model, pairs, their order, rates, batch, epochs, lengths and float32
are the same. They take turns, each in a fresh folder, and which goes first alternates.

Stock does this and no more (`perf/stock/run_all.py`), and its driver is off the clock. Its pairs lie ready as
files; each script imports, loads and tokenises for itself. Ours also makes the pairs, checks that the
benchmarks can be run, rehearses every stage, audits that the arms are equal, probes held-out pairs,
fingerprints weights, counts FLOPs, keeps every answer and item, tracks to MLflow, and writes the report.
Exits 1 where a goal of `perf/goals.py` is missed by all of an interval. Last losses are shown, and scores
with the interval of their difference over seeds.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from harness.benchmarks.lm_eval import EMBEDDED_TASK, embedded_task
from harness.data.embedded.grade import grade
from harness.measure.environment import device_identity
from harness.measure.gpu_lock import GpuLock
from harness.pipeline.overrides import Overrides
from harness.records import ComparisonRecord
from harness.running.status import read_status
from harness.store.run_dir import RunRoot, read_record, scores_by_cell
from perf.losses import Window, by_step
from perf.paired import in_turn
from perf.prepared import Prepared
from perf.spent import spent, training_seconds
from perf.stock.run_all import BASE, METHODS, Call, Job, ScriptFailed, run_all
from perf.whole_report import Repeat, Side, report

ARMS = {"sft": "sft", "dpo": "sft_dpo", "orpo": "orpo"}
"""The arm whose last stage is a method's."""
SCORES = {"accuracy": "preference.accuracy", "grade": "rubric.grade"}
TrainedBySeed = dict[str, dict[int, tuple[float, list[Window]]]]
"""By method and seed: seconds of training, and the losses."""
PLAIN = argparse.RawDescriptionHelpFormatter


@dataclass(frozen=True)
class Asked:
    """How large the comparison is."""

    seeds: int
    limit: int | None
    lm_eval: bool

    @property
    def benchmarks(self) -> list[str]:
        """What ours scores by."""
        return ["preference", "rubric", *(["lm_eval"] if self.lm_eval else [])]

    @property
    def sets(self) -> list[str]:
        """Settings of a toy size."""
        return [] if self.limit is None else [f"data.limit={self.limit}", f"data.test_limit={self.limit}"]


def ours(asked: Asked, folder: Path) -> Side:
    """`harness compare` as a user calls it."""
    command = [sys.executable, "-m", "harness", "compare", "embedded", "--out", str(folder)]
    command += ["--arms", " ".join(ARMS.values()), "--seeds", str(asked.seeds)]
    command += ["--score", " ".join(asked.benchmarks), *(f"--set={one}" for one in asked.sets)]
    began = time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True)
    wall = time.perf_counter() - began
    if done.returncode != 0:
        sys.exit(f"{' '.join(command)}\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
    run = folder / "latest"
    record, status = read_record(run), read_status(run)
    kinds = spent(record, wall, None if status is None else status.report_seconds)
    return Side(wall, _trained(record, RunRoot(folder)), _scores(record, asked), kinds)


def _trained(record: ComparisonRecord, root: RunRoot) -> TrainedBySeed:
    """Seconds of training and the loss of every step, by method and seed."""
    found: TrainedBySeed = {method: {} for method in METHODS}
    for digest, result in record.results.items():
        if result.kind == "train":
            losses = by_step(root.stage_folder(digest) / "steps.jsonl")
            method = record.plan.stages[digest].config["method"]
            found[method][result.seed] = (training_seconds(result), losses)
    return found


def _scores(record: ComparisonRecord, asked: Asked) -> dict[str, dict[str, dict[int, float]]]:
    """Stock's name of a score -> method or base -> seed -> mean; the base is of seed 0."""
    names = {**SCORES, **({f"{EMBEDDED_TASK}.acc": f"lm_eval/{EMBEDDED_TASK}.acc"} if asked.lm_eval else {})}
    arms = {**{arm: method for method, arm in ARMS.items()}, BASE: BASE}
    found: dict[str, dict[str, dict[int, float]]] = {name: {} for name in names}
    for cell, _, score in scores_by_cell(record):
        arm, _, seed = cell.partition("@")
        for theirs, name in names.items():
            if name == f"{score.benchmark}.{score.metric}" and score.estimate is not None:
                found[theirs].setdefault(arms[arm], {})[int(seed or 0)] = score.estimate
    return found


def stock_job(prepared: Prepared, asked: Asked) -> Job:
    """What the scripts need for the same work, as files."""
    spec, folder = prepared.spec, prepared.folder
    if asked.lm_eval:
        _write_task(folder / "tasks", prepared.data)
    return Job(
        model=str(prepared.base),
        train={seed: str(prepared.train_file(seed)) for seed in spec.seeds},
        test=str(prepared.test_file()),
        settings=prepared.settings(),
        max_length=spec.data.max_length,
        max_new_tokens=spec.generation.max_new_tokens,
        batch_size=spec.generation.batch_size,
        grader=f"{grade.__module__}:{grade.__name__}",
        tasks=[EMBEDDED_TASK] if asked.lm_eval else [],
        include_path=str(folder / "tasks") if asked.lm_eval else None,
    )


def _write_task(folder: Path, prepared: Path) -> None:
    """Our own lm-eval task of that name, as a user's task file; where it is cached is each script's own."""
    folder.mkdir()
    task = embedded_task(prepared, folder)
    del task["dataset_kwargs"]["cache_dir"]
    # JSON is YAML, and lm-eval reads task files as that.
    (folder / "choice.yaml").write_text(json.dumps(task, indent=1), encoding="utf-8")


def theirs(job: Job, folder: Path) -> Side:
    """The stock scripts; their seconds alone, without the driver's."""
    try:
        with GpuLock(device_identity(), what="the stock scripts of perf/whole.py"):
            calls = run_all(job, folder)
    except ScriptFailed as failure:
        sys.exit(str(failure))
    trained: TrainedBySeed = {m: {} for m in METHODS}
    scores: dict[str, dict[str, dict[int, float]]] = {}
    for one in calls:
        if one.script != "score":
            trained[one.arm][one.seed or 0] = (float(one.said["train_seconds"]), one.said["losses"])
        for name, value in one.said.get("scores", {}).items():
            scores.setdefault(name, {}).setdefault(one.arm, {})[one.seed or 0] = float(value)
    return Side(sum(one.seconds for one in calls), trained, scores, _kinds(calls))


def _kinds(calls: list[Call]) -> dict[str, float]:
    """Where the scripts' seconds went."""
    names = {
        "load_seconds": "loading and tokenising",
        "train_seconds": "training",
        "save_seconds": "saving",
        "generation_seconds": "generation",
        "scoring_seconds": "scoring",
        "lm_eval_seconds": "lm-eval",
    }
    kinds = {kind: sum(one.said.get(name, 0.0) for one in calls) for name, kind in names.items()}
    return {"start-up and exit": sum(one.seconds for one in calls) - sum(kinds.values()), **kinds}


def measure(asked: Asked, repeats: int, folder: Path) -> list[Repeat]:
    """Every repeat's two sides; folders go as soon as they were read."""
    overrides = Overrides(
        arms=list(ARMS.values()), seeds=str(asked.seeds), score=asked.benchmarks, sets=asked.sets
    )
    prepared = Prepared(folder, "embedded", overrides)
    job, measured = stock_job(prepared, asked), list[Repeat]()
    for number in range(repeats):
        with tempfile.TemporaryDirectory(dir=folder) as one, tempfile.TemporaryDirectory(dir=folder) as other:
            sides = in_turn(number, lambda: ours(asked, Path(one)), lambda: theirs(job, Path(other)))
        measured.append(Repeat(*sides))
        print(f"repeat {number + 1}: ours {sides[0].wall:.1f} s, stock {sides[1].wall:.1f} s", flush=True)
    return measured


def main() -> int:
    """Measure and report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=PLAIN)
    parser.add_argument("--repeats", type=int, default=5, help="paired repeats")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--limit", type=int, help="pairs to train on and to test on, to try it")
    parser.add_argument("--lm-eval", action="store_true", help="both also run lm-eval's multiple choice")
    given = parser.parse_args()
    asked = Asked(given.seeds, given.limit, given.lm_eval)
    with tempfile.TemporaryDirectory() as folder:
        measured = measure(asked, given.repeats, Path(folder).resolve())
    return report(measured, dataclasses.asdict(asked))


if __name__ == "__main__":
    sys.exit(main())
