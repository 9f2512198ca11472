"""What people see of a search: a line a trial, and how long the rest of the search should take."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from rich.console import Console

from harness.pipeline.tuning_draws import Drawn
from harness.records import Plan, StageResult, TuningTrial
from harness.running.course import Course
from harness.running.lines import duration
from harness.running.status import State, Status
from harness.running.trial import Metric
from harness.units import significant

ON_TOP = ("the comparison itself",)


class TrialCourse(Course):
    """The course of some trials, which knows how long the whole search still takes."""

    def __init__(
        self,
        plan: Plan,
        results: Mapping[str, StageResult],
        *,
        seconds_left: Callable[[], float],
        **more: Any,
    ) -> None:
        super().__init__(plan, results, **more)
        self._seconds_left = seconds_left

    def status(self, state: State = "running") -> Status:
        """The plan's own forecast knows of the trials at hand alone."""
        left = self._seconds_left() if state == "running" else None
        on_top = ON_TOP if left is not None else ()
        return super().status(state).model_copy(update={"seconds_left": left, "on_top": on_top})


def settings_in_words(settings: Drawn) -> str:
    """`sft.learning_rate 0.003, dpo.beta 0.5`."""
    return ", ".join(f"{stage}.{key} {one}" for stage, keys in settings.items() for key, one in keys.items())


def print_trial(
    console: Console,
    trial: TuningTrial,
    metric: Metric,
    best: TuningTrial | None,
    *,
    left: int,
    seconds_left: float,
) -> None:
    """`trial 3 of 16 of orpo: preference.accuracy 0.8412, best 0.8512 (trial 1); 12 min left`."""
    score = f"{metric.name} {significant(trial.score)}" if trial.score is not None else f"{trial.reason}"
    ended = f", ended after {trial.pruned_at:.0%} of its last stage" if trial.pruned_at is not None else ""
    so_far = "no best yet"
    if best is not None and best.score is not None:
        so_far = f"best {significant(best.score)} (trial {best.number})"
    until = f"; {duration(seconds_left)} of tuning left" if seconds_left else ""
    console.print(
        f"trial {trial.number} of {trial.number + left} of {trial.arm}: {score}{ended}, {so_far}{until}",
        highlight=False,
        markup=False,
        soft_wrap=True,
    )
