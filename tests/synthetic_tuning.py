"""A made search: one arm soon good, one better once it is tuned, trials that ended early or failed."""

from __future__ import annotations

import math
import random
from dataclasses import replace
from typing import Any

from synthetic import FLOPS, SECONDS, make_view

from harness.evidence.view import ComparisonView
from harness.records import TuningRecord, TuningTrial
from harness.records.tuning import Setting

RATE: dict[str, Setting | list[Setting]] = {"low": 1e-6, "high": 1e-4, "log": True, "source": "made"}
SPACE = {
    "sft": {"learning_rate": RATE},
    "dpo": {
        "learning_rate": RATE,
        "beta": {"low": 0.01, "high": 0.5, "log": True, "source": "made"},
        "loss": {"choices": ["sigmoid", "hinge"], "source": "made"},
    },
    "orpo": {"learning_rate": RATE, "lambda": {"low": 0.05, "high": 1.0, "source": "made"}},
}
STAGES = {"sft": ["sft"], "sft_dpo": ["sft", "dpo"], "orpo": ["orpo"]}
ENDED, FAILED = 5, 9
"""The numbers of the second arm's trial that ended early, and of its trial without a score."""


def drawn(number: int, stage: str) -> dict[str, Setting]:
    """What a stage's settings are in a trial: the same for all arms that have the stage."""
    settings: dict[str, Setting] = {}
    for key, space in SPACE[stage].items():
        share = random.Random(f"{number} {stage} {key}").random()
        if "choices" in space:
            choices = space["choices"]
            assert isinstance(choices, list)
            settings[key] = choices[int(share * len(choices))]
            continue
        low, high = (float(space[end]) for end in ("low", "high"))  # type: ignore[arg-type]
        settings[key] = low * (high / low) ** share if space.get("log") else low + share * (high - low)
    return settings


def reached(arm: str, settings: dict[str, dict[str, Setting]]) -> float:
    """A share of 400 items: arms lose by the distance of a learning rate from 1e-5, each at its own rate."""
    best, steep = {"sft": (0.62, 0.02), "orpo": (0.78, 0.02), "sft_dpo": (0.84, 0.12)}[arm]
    off = sum(abs(math.log10(float(of_stage["learning_rate"])) + 5) for of_stage in settings.values())
    return round(400 * max(best - steep * off, 0.5)) / 400


def made_trial(arm: str, number: int) -> TuningTrial:
    settings = {stage: drawn(number, stage) for stage in STAGES[arm]}
    is_second = arm == "sft_dpo"
    failed, ended = is_second and number == FAILED, is_second and number == ENDED
    used = 0.25 if ended else 1.0
    return TuningTrial(
        arm=arm,
        number=number,
        settings=settings,
        score=None if failed else reached(arm, settings) - (0.1 if ended else 0.0),
        reason="a loss was not finite" if failed else None,
        pruned_at=0.25 if ended else None,
        stages=[f"t{number}-{arm}-{stage}" for stage in STAGES[arm]],
        evaluate=None if failed else f"t{number}-{arm}-score",
        seconds=used * sum(SECONDS[stage] for stage in STAGES[arm]),
        flops=used * sum(FLOPS[stage] for stage in STAGES[arm]),
    )


def make_tuning(trials: int = 16, **changes: Any) -> TuningRecord:
    """So many trials an arm; `changes` go over the record."""
    made = [made_trial(arm, number) for arm in STAGES for number in range(trials)]
    best = {
        arm: max(
            (t for t in made if t.arm == arm and t.score is not None), key=lambda t: t.score or 0.0
        ).number
        for arm in STAGES
    }
    whole = TuningRecord(
        metric="preference.accuracy",
        higher_is_better=True,
        sampler="random",
        pruner="median",
        axis="trials",
        amount=trials,
        seed=7,
        space=SPACE,
        trials=made,
        chosen=best,
    )
    return TuningRecord.model_validate({**whole.model_dump(), **changes})


def tuned_view(tuning: TuningRecord | None = None, **made: Any) -> ComparisonView:
    """`make_view` with a search before it."""
    view = make_view(**made)
    return replace(view, record=view.record.model_copy(update={"tuning": tuning or make_tuning()}))
