"""The effect of two arms in each of several runs, and why a run has none that can be combined.

Runs of one model and data set, with other seeds or settings, repeat each other: they are one unit.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from harness.evidence.aggregates import aggregate_contrast
from harness.evidence.contrasts import NOT_JUDGED, Contrast, cost_contrast, score_contrast
from harness.evidence.primary import Primary, primary
from harness.evidence.statistics.meta import Effect
from harness.evidence.statistics.stability import Stability, stability
from harness.evidence.view import ComparisonView
from harness.quantities import AGGREGATE, cost_of


@dataclass(frozen=True)
class RunEffect:
    """One run's contrast, None where it has none; `effect` (of ratios: of the logarithm) is what enters
    the combined one, and where it is None `reason` says why the run is left out."""

    view: ComparisonView
    contrast: Contrast | None
    effect: Effect | None
    reason: str | None = None

    @property
    def has_value(self) -> bool:
        """Whether the run measured the quantity, so that its verdict says something."""
        one = self.contrast
        return one is not None and one.estimate.value is not None and one.verdict != NOT_JUDGED


def primary_pairs(views: Iterable[ComparisonView]) -> list[Primary]:
    """The primary arms of the runs, each two of them once and as seen first."""
    pairs: list[Primary] = []
    for view in views:
        pair = primary(view)
        if pair is not None and pair not in pairs and Primary(pair.b, pair.a) not in pairs:
            pairs.append(pair)
    return pairs


def models_and_data(views: Iterable[ComparisonView]) -> tuple[int, int]:
    """How many models and how many data sets runs are of."""
    views = list(views)
    return len({model_of(view) for view in views}), len({view.source for view in views})


def model_of(view: ComparisonView) -> str:
    """The model that a run trained, as its file says."""
    return str(view.record.plan.spec.get("model", "replayed"))


def run_label(view: ComparisonView) -> tuple[str, str, str]:
    """A run by its model, its data and its seeds."""
    pairs = "" if view.replayed else f" ({view.prepared.train_pairs:,} pairs)"
    return model_of(view), f"{view.source}{pairs}", ", ".join(map(str, view.seeds))


def stability_of(views: Sequence[ComparisonView], metric: str, a: str, b: str) -> Stability:
    """Spread of arm a's gain in a score over the runs' baseline against that of arm b's.

    A gain, not a score, since models differ in what they score to begin with.
    """
    gains: tuple[list[Effect], list[Effect]] = ([], [])
    for view in views:
        pairs = [Primary(arm, view.baseline) for arm in (a, b) if arm != view.baseline]
        known = [effect for pair in pairs if (effect := run_effect(view, metric, pair).effect) is not None]
        if len(known) == 2:
            gains[0].append(known[0])
            gains[1].append(known[1])
    return stability(*gains)


def run_effect(view: ComparisonView, quantity: str, pair: Primary) -> RunEffect:
    """Arm a against arm b of the pair in one run; counted costs repeat exactly and have no error."""
    contrast = _contrast(view, quantity, pair)
    if isinstance(contrast, str):
        return RunEffect(view, None, None, contrast)
    estimate, cost = contrast.estimate, cost_of(quantity)
    without = RunEffect(view, contrast, None, estimate.reason)
    if estimate.value is None or not without.has_value:
        return without
    value = estimate.value if cost is None else math.log(estimate.value)
    unit = f"{model_of(view)}\n{view.source}"
    if cost is not None and not cost.timed:
        return RunEffect(view, contrast, Effect(value, 0.0, math.inf, unit))
    if not estimate.error:
        reason = "every item is equal" if estimate.identical else estimate.reason
        return RunEffect(
            view, contrast, None, f"no standard error ({reason})" if reason else "no standard error"
        )
    freedom = math.inf if estimate.freedom is None else estimate.freedom
    return RunEffect(view, contrast, Effect(value, estimate.error, freedom, unit))


def _contrast(view: ComparisonView, quantity: str, pair: Primary) -> Contrast | str:
    """Arm a against arm b on a quantity, or why the run has no such thing."""
    cost = cost_of(quantity)
    if cost is not None:
        return "nothing was trained" if view.replayed else cost_contrast(view, cost, pair.a, pair.b)
    if view.random_weights:
        return "training began from random weights"
    if quantity.startswith(AGGREGATE):
        name = quantity.removeprefix(AGGREGATE)
        if name not in view.aggregates:
            return f"it has no {quantity}"
        return aggregate_contrast(view, name, view.aggregates[name], pair.a, pair.b)
    one = score_contrast(view, quantity, pair.a, pair.b)
    if one is not None:
        return one
    other = score_contrast(view, quantity, pair.b, pair.a)
    return other.turned() if other is not None else "not scored for both arms"
