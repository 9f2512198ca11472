"""What a user runs instead of `harness compare`: stock TRL's scripts, one after the other, seed by seed.

    python perf/stock/run_all.py JOB.json OUT

Of each seed SFT, DPO from its weights, and ORPO from the base; then the scoring script on each, and once on
the base. Every script is a process of its own, as users run them. It prints what each script said as one line
of JSON. The job (`Job`) names folder and files, settings by method, and how to answer.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

STOCK = Path(__file__).resolve().parent
QUIET = {"TRL_EXPERIMENTAL_SILENCE": "1", "HF_HUB_OFFLINE": "1"}
METHODS = ("sft", "dpo", "orpo")
BASE = "base"


@dataclass(frozen=True)
class Job:
    """What is to be trained and scored. `train` is a file of pairs by seed, `settings` a stage's by method.

    `grader` and `tasks` are handed to the scoring script.
    """

    model: str
    train: dict[int, str]
    test: str
    settings: dict[str, dict[str, Any]]
    max_length: int
    max_new_tokens: int
    batch_size: int
    grader: str | None = None
    tasks: list[str] = field(default_factory=list)
    include_path: str | None = None
    in_order: bool = True


@dataclass(frozen=True)
class Call:
    """One script that ran, of a method or of `base`; `seconds` is the process from its start to its end."""

    script: str
    arm: str
    seed: int | None
    seconds: float
    said: dict[str, Any]


class ScriptFailed(Exception):
    """A stock script ended with an error; the message is the command and what it said."""


def call(script: str, arguments: Sequence[str], cache: Path) -> tuple[float, dict[str, Any]]:
    """The process's seconds and the JSON of its last line; raises ScriptFailed."""
    command = [sys.executable, str(STOCK / f"{script}.py"), *arguments]
    environment = {**os.environ, **QUIET, "HF_DATASETS_CACHE": str(cache)}
    began = time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    seconds = time.perf_counter() - began
    if done.returncode != 0:
        raise ScriptFailed(f"{' '.join(command)}\n{done.stderr}")
    said: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return seconds, said


def train_arguments(
    *,
    model: str,
    pairs: str,
    out: Path,
    settings: Mapping[str, Any],
    max_length: int,
    seed: int,
    in_order: bool,
    log_every: int | None = None,
) -> list[str]:
    """What a training script is given; without `log_every` it logs as often as TRL does by itself."""
    given = ["--model", model, "--pairs", pairs, "--out", str(out), "--seed", str(seed)]
    given += ["--settings", json.dumps(settings), "--max-length", str(max_length)]
    given += ["--log-every", str(log_every)] if log_every else []
    return [*given, *(["--in-order"] if in_order else [])]


def run_all(job: Job, out: Path) -> list[Call]:
    """Everything, one after the other."""
    calls: list[Call] = []
    models: list[tuple[str, int | None, str]] = [(BASE, None, job.model)]
    for seed in job.train:
        for method in METHODS:
            model = str(out / f"sft-{seed}" / "model") if method == "dpo" else job.model
            calls.append(_train(job, method, seed, model, out))
            models.append((method, seed, str(out / f"{method}-{seed}" / "model")))
    return [*calls, *(_score(job, arm, seed, model, out) for arm, seed, model in models)]


def _train(job: Job, method: str, seed: int, model: str, out: Path) -> Call:
    given = train_arguments(
        model=model,
        pairs=job.train[seed],
        out=out / f"{method}-{seed}",
        settings=job.settings[method],
        max_length=job.max_length,
        seed=seed,
        in_order=job.in_order,
    )
    return Call(method, method, seed, *call(method, given, out / "cache"))


def _score(job: Job, arm: str, seed: int | None, model: str, out: Path) -> Call:
    given = ["--model", model, "--pairs", job.test, "--out", str(out / f"score-{arm}-{seed}")]
    given += ["--max-length", str(job.max_length), "--max-new-tokens", str(job.max_new_tokens)]
    given += ["--batch-size", str(job.batch_size)]
    given += ["--grader", job.grader] if job.grader else []
    given += ["--tasks", *job.tasks] if job.tasks else []
    given += ["--include-path", job.include_path] if job.include_path else []
    return Call("score", arm, seed, *call("score", given, out / "cache"))


def main() -> int:
    """Read the job, run it, print what was said."""
    data = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    job = Job(**{**data, "train": {int(seed): file for seed, file in data["train"].items()}})
    try:
        print(json.dumps([asdict(one) for one in run_all(job, Path(sys.argv[2]).resolve())]))
    except ScriptFailed as failure:
        print(failure, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
