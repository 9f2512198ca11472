"""What live tracking costs: the parent's CPU time for a stage's messages, as a share of the stage's time.

Messages of a made stage come at the pace of its steps, through the watcher and its thread into a real MLflow
database. The share is of one core, so it is the most that a stage can lose which uses all of them. Exits 1
where it is above 0.5% of a stage that trains a minute.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from pathlib import Path

from rich.console import Console

from harness.records import Plan, PlannedCell, PlannedStage
from harness.running.tracking import Tracking
from harness.store.run_dir import RunRoot

STAGE_SECONDS, MOST_SHARE = 60.0, 0.005
STEP_SECONDS = {"steps of 0.5 s": 0.5, "steps of 0.1 s": 0.1, "steps of 0.02 s": 0.02}
NAMES = (
    *("loss", "grad_norm", "learning_rate", "nll", "log_odds", "log_odds_margin", "odds_loss", "accuracy"),
    *("logp_chosen", "logp_rejected", "elapsed_seconds"),
)


def main() -> int:
    """Print each pace's share, then all as one line of JSON."""
    with tempfile.TemporaryDirectory() as folder:
        root = RunRoot(Path(folder))
        root.open_for_writing()
        with Tracking(["mlflow"], root, "perf", Console(stderr=True)) as tracking:
            tracking.plans(_plan())
            figures = {pace: _stage(tracking, number) for number, pace in enumerate(STEP_SECONDS)}
    for pace, one in figures.items():
        print(
            f"{pace}: {one['share']:.2%} of the stage's time, {one['microseconds_a_message']:.0f} us of "
            f"CPU time a message until the pipe is read again; between stages {one['settling_seconds']:.1f} s"
        )
    print(json.dumps({"benchmark": "tracking", **figures}))
    return int(any(one["share"] > MOST_SHARE for one in figures.values()))


def _stage(tracking: Tracking, number: int) -> dict[str, float]:
    stage, pace = _plan().stages[f"s{number}"], list(STEP_SECONDS.values())[number]
    tracking.begins(stage)
    began, elsewhere, heard, step = time.perf_counter(), _other_threads(), 0.0, 0
    while time.perf_counter() - began < STAGE_SECONDS:
        step += 1
        message = {"step": step, "total": 10_000, "metrics": dict.fromkeys(NAMES, 1.0 / step)}
        before = time.thread_time()
        tracking.hears(stage, message)
        heard += time.thread_time() - before
        time.sleep(max(0.0, began + step * pace - time.perf_counter()))
    # The parent reads its pipe and sleeps with or without a tracker, so that is not counted.
    seconds, spent = time.perf_counter() - began, heard + _other_threads() - elsewhere
    # What is left is sent before the next stage's clock starts.
    began = time.perf_counter()
    tracking.begins(_plan().stages["scoring"])
    return {
        "share": spent / seconds,
        "microseconds_a_message": 1e6 * heard / step,
        "settling_seconds": time.perf_counter() - began,
        "steps": step,
    }


def _other_threads() -> float:
    """CPU seconds of every thread but this one."""
    return time.process_time() - time.thread_time()


def _plan() -> Plan:
    stages = [
        PlannedStage(digest=f"s{n}", kind="train", name=f"orpo/orpo@{n}", seed=n, config={"config": {}})
        for n in range(len(STEP_SECONDS))
    ]
    scoring = PlannedStage(digest="scoring", kind="rehearse", name="rehearse", seed=0, config={})
    return Plan(
        id="perf",
        name="perf",
        spec={"arms": [{"name": "orpo"}], "seeds": [0, 1, 2], "model": "made"},
        stages={stage.digest: stage for stage in [*stages, scoring]},
        cells=[PlannedCell(arm="orpo", seed=s.seed, stages=[s.digest], evaluate=None) for s in stages],
        order=[stage.digest for stage in stages],
        prepare="prepare",
    )


if __name__ == "__main__":
    sys.exit(main())
