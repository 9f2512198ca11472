"""The settings of a trial by the tree-structured Parzen estimator, Optuna's.

A pure function of the earlier trials, so that a search that goes on after an interruption draws what it would
have drawn. The first trials are random, and the same where arms' spaces agree.
"""

from __future__ import annotations

import importlib.util
import random
from collections.abc import Sequence
from typing import TYPE_CHECKING

from harness.errors import UserError
from harness.pipeline.tuning_draws import Drawn, draw_trial, rounded
from harness.pipeline.tuning_spec import SettingSpace, Space
from harness.records import TuningTrial

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution
    from optuna.trial import FrozenTrial

RANDOM_TRIALS = 10
"""As many as Optuna draws at random before its estimator."""


def check_installed() -> None:
    """Raise UserError where Optuna is not there."""
    if importlib.util.find_spec("optuna") is None:
        raise UserError(
            "tuning.sampler is tpe and Optuna is not installed",
            remedy='pip install "orpo-harness[tuning]", or give sampler: random',
        )


def draw_by_tpe(
    space: Space, earlier: Sequence[TuningTrial], *, seed: int, number: int, higher_is_better: bool
) -> Drawn:
    """The settings of trial `number` of an arm whose `earlier` trials are done, one after another."""
    if number <= RANDOM_TRIALS:
        return draw_trial(space, seed=seed, number=number)
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    own_seed = random.Random(f"{seed}/tpe/{number}").getrandbits(32)
    study = optuna.create_study(
        direction="maximize" if higher_is_better else "minimize",
        sampler=optuna.samplers.TPESampler(seed=own_seed, n_startup_trials=0),
    )
    distributions = _distributions(space)
    study.add_trials([_told(trial, distributions) for trial in earlier])
    asked = study.ask(distributions).params
    return {
        stage: {key: _as_drawn(one, asked[f"{stage}.{key}"]) for key, one in keys.items()}
        for stage, keys in space.items()
    }


def _distributions(space: Space) -> dict[str, BaseDistribution]:
    return {
        f"{stage}.{key}": _distribution(one) for stage, keys in space.items() for key, one in keys.items()
    }


def _distribution(space: SettingSpace) -> BaseDistribution:
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    if space.choices is not None:
        return CategoricalDistribution(space.choices)
    low, high = space.range()
    if isinstance(low, int) and isinstance(high, int):
        return IntDistribution(low, high, log=space.log)
    return FloatDistribution(low, high, log=space.log)


def _as_drawn(space: SettingSpace, value: bool | int | float | str) -> bool | int | float | str:
    """A number of a range to the digits of a random draw."""
    if space.choices is not None or isinstance(value, int | str):
        return value
    low, high = space.range()
    return min(max(rounded(value), low), high)


def _told(trial: TuningTrial, distributions: dict[str, BaseDistribution]) -> FrozenTrial:
    """A trial as Optuna knows it: one that failed, or was ended early, is worse than those that ran on."""
    from optuna.trial import TrialState, create_trial

    params = {
        f"{stage}.{key}": value for stage, keys in trial.settings.items() for key, value in keys.items()
    }
    whole = trial.score is not None and trial.pruned_at is None
    ended = {} if trial.score is None or whole else {round(1000 * (trial.pruned_at or 0)): trial.score}
    return create_trial(
        state=TrialState.COMPLETE if whole else TrialState.PRUNED,
        value=trial.score if whole else None,
        params=params,
        distributions=distributions,
        intermediate_values=ended,
    )
