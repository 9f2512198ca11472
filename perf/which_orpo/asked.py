"""Asking every implementation in a process of its own, and what it answered."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import torch

from perf.which_orpo.environments import last_line, python_of

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Asked:
    """An implementation: the module that runs it, and what its environment says on top."""

    title: str
    module: str
    says: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Answer:
    """What it handed in. `near_zero` are term and slope at each of `world.NEAR_ZERO`."""

    loss: float
    gradient: torch.Tensor
    versions: Mapping[str, str]
    near_zero: list[tuple[str, str]]


def ask(one: Asked, world: Path, out: Path, environments: Path) -> Answer | str:
    """Its answer, or why there is none."""
    python, why_not = python_of(one.module, environments)
    if python is None:
        return why_not
    out.mkdir(parents=True)
    done = subprocess.run(
        [python, "-m", f"perf.which_orpo.{one.module}", str(world), str(out)],
        env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", **one.says},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        return last_line(done.stderr)
    answer = json.loads((out / "answer.json").read_text(encoding="utf-8"))
    near_zero = [(term, slope) for term, slope in answer["near_zero"]]
    return Answer(answer["loss"], torch.load(out / "gradient.pt"), answer["versions"], near_zero)
