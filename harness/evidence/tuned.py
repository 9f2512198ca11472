"""The search before a comparison, arm by arm: what its trials reached, and what they took."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

from harness.evidence.statistics.best_of import BestOf, best_of
from harness.evidence.statistics.estimate import Estimate
from harness.evidence.statistics.importance import Importance, importance
from harness.evidence.statistics.near_best import near_best
from harness.evidence.view import ComparisonView
from harness.quantities import FLOPS, WALL_SECONDS, Quantity, is_share
from harness.records import TuningRecord, TuningTrial
from harness.records.tuning import Setting

POINT = 0.01
"""How near to the best is near: one point of a share."""
AXES = (FLOPS, WALL_SECONDS)
"""What trials are known to take."""
Place = tuple[str, str]
"""A setting: its stage and its key."""


@dataclass(frozen=True)
class Search:
    """One arm's trials, in order, and its `place` among the arms.

    `bounds` are the worst and the best score of any arm's trial, higher being better; None without any.
    """

    arm: str
    place: int
    tuning: TuningRecord
    trials: tuple[TuningTrial, ...]
    bounds: tuple[float, float] | None

    @property
    def chosen(self) -> TuningTrial | None:
        """The trial whose settings the comparison trained."""
        number = self.tuning.chosen.get(self.arm)
        return next((trial for trial in self.trials if trial.number == number), None)

    @property
    def ended_early(self) -> int:
        """How many trials a pruner ended."""
        return sum(trial.pruned_at is not None for trial in self.trials)

    @property
    def failed(self) -> int:
        """How many trials have no score."""
        return sum(score_of(trial) is None for trial in self.trials)

    @cached_property
    def places(self) -> list[Place]:
        """The settings that were drawn, in order of appearance."""
        found = (
            (stage, key) for trial in self.trials for stage, keys in trial.settings.items() for key in keys
        )
        return list(dict.fromkeys(found))

    @cached_property
    def scores(self) -> list[float]:
        """What each trial counts, higher being better; none where no trial of the arm has a score.

        A trial that ended early counts what it had reached. One without a score used its budget and found
        nothing: it counts as the worst score of any arm's trial.
        """
        if self.bounds is None or self.failed == len(self.trials):
            return []
        known = (score_of(trial) for trial in self.trials)
        return [self.bounds[0] if score is None else self.shown(score) for score in known]

    @cached_property
    def curve(self) -> BestOf | None:
        """The expected best of 1, 2, ... trials, higher being better; without intervals where trials are
        no independent draws."""
        bounds = None if self.why_unsure else self.bounds
        return best_of(self.scores, bounds, self.place) if self.scores else None

    @property
    def why_unsure(self) -> str | None:
        """Why trials are no independent draws of the space, None where they are."""
        if self.tuning.sampler == "random":
            return None
        return f"the sampler ({self.tuning.sampler}) draws by the trials before"

    @cached_property
    def near(self) -> Estimate:
        """The share of the other trials within a point of the best."""
        if not is_share(self.tuning.metric):
            return Estimate.absent(f"{self.tuning.metric} is no share, so that it has no points")
        return near_best(self.scores, POINT)

    @cached_property
    def importance(self) -> dict[Place, Importance]:
        """How much of the scores goes with each setting."""
        return {place: self._importance_of(place) for place in self.places}

    def _importance_of(self, place: Place) -> Importance:
        """Over the trials that drew the setting."""
        stage, key = place
        held = zip(self.trials, self.scores, strict=True) if self.scores else ()
        drawn = [(t.settings[stage][key], score) for t, score in held if key in t.settings.get(stage, {})]
        return importance([value for value, _ in drawn], [score for _, score in drawn])

    def cost(self, quantity: Quantity) -> tuple[float | None, str | None]:
        """What all trials took, or None and why."""
        known = [value for trial in self.trials if (value := taken(trial, quantity)) is not None]
        if len(known) < len(self.trials):
            return None, f"{len(self.trials) - len(known)} of {len(self.trials)} trials did not record it"
        return sum(known), None

    def shown(self, score: float) -> float:
        """A score of `scores` as its metric has it, and the other way round."""
        return score if self.tuning.higher_is_better else -score


def score_of(trial: TuningTrial) -> float | None:
    """What a trial reached; one that is no finite number says nothing."""
    return trial.score if trial.score is not None and math.isfinite(trial.score) else None


def taken(trial: TuningTrial, quantity: Quantity) -> float | None:
    """What a trial's training took, on one of `AXES`."""
    return trial.flops if quantity == FLOPS else trial.seconds


def sources_of(trial: TuningTrial) -> tuple[str, ...]:
    """The stages that trained and scored a trial."""
    return (*trial.stages, *([trial.evaluate] if trial.evaluate else []))


def trials_by_stage(found: Iterable[Search]) -> dict[str, str]:
    """Digest -> `trial 3 of ARM`, every one that has the stage, for stages of searches."""
    names: dict[str, list[str]] = {}
    for one in found:
        for trial in one.trials:
            for digest in sources_of(trial):
                names.setdefault(digest, []).append(f"trial {trial.number} of {one.arm}")
    return {digest: " and ".join(of_stage) for digest, of_stage in names.items()}


def setting_of(trial: TuningTrial, place: Place) -> Setting | None:
    """What a trial drew of a setting."""
    stage, key = place
    return trial.settings.get(stage, {}).get(key)


def searches(view: ComparisonView) -> list[Search]:
    """A search an arm, in the comparison's order, then arms that only the search has."""
    tuning = view.record.tuning
    if tuning is None:
        return []
    sign = 1.0 if tuning.higher_is_better else -1.0
    known = [sign * score for trial in tuning.trials if (score := score_of(trial)) is not None]
    bounds = (min(known), max(known)) if known else None
    arms = dict.fromkeys([*view.arms, *(trial.arm for trial in tuning.trials)])
    of_arms = {arm: tuple(trial for trial in tuning.trials if trial.arm == arm) for arm in arms}
    found = ((arm, trials) for arm, trials in of_arms.items() if trials)
    return [Search(arm, place, tuning, trials, bounds) for place, (arm, trials) in enumerate(found)]
