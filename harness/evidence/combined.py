"""Several runs as a sample of models and data sets: the effect of two arms, combined over all.

Runs of one model and data set are combined first and count once. Runs that share a model or a data set are
no independent draws of all models and data sets, so what an interval is about is named with how many of
each there are.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from harness.evidence.amounts import EQUAL_COST, amount, detectable_effect, unit_of
from harness.evidence.contrasts import directions
from harness.evidence.primary import Primary, primary
from harness.evidence.run_effects import RunEffect, model_of, models_and_data, primary_pairs, run_effect
from harness.evidence.statistics.estimate import Estimate, exponential
from harness.evidence.statistics.family import Statements, adjusted
from harness.evidence.statistics.intervals import LEVEL
from harness.evidence.statistics.margins import ONE_SIDED, MarginTests, against_margin
from harness.evidence.statistics.meta import Combined, combine
from harness.evidence.statistics.verdict import Outcome, Verdict
from harness.evidence.view import ComparisonView
from harness.quantities import AGGREGATE, COSTS, cost_of

TOO_FEW = "fewer than 2 models and data sets have an effect with a standard error"


@dataclass(frozen=True)
class CombinedEffect:
    """One quantity of arm `a` against arm `b` over all runs.

    `estimate` and `predicted` are differences of scores or ratios of costs; `combined` speaks of logarithms
    where these are ratios. `weights` are by run, None for those left out. Where every combined run
    registered the same question `p` is adjusted over all such quantities, and `margin` is theirs if they
    agree on it.
    """

    quantity: str
    a: str
    b: str
    runs: tuple[RunEffect, ...]
    combined: Combined | None
    estimate: Estimate
    predicted: tuple[float, float] | None
    verdict: Verdict
    registered: bool = False
    margin: float | None = None
    p: float | None = None

    @property
    def is_cost(self) -> bool:
        """Whether it is a ratio of costs."""
        return cost_of(self.quantity) is not None

    @property
    def included(self) -> list[ComparisonView]:
        """The runs that the combined effect is made of."""
        return [run.view for run in self.runs if run.effect is not None]

    @property
    def weights(self) -> list[float | None]:
        """Each run's weight."""
        known = iter(self.combined.weights if self.combined else ())
        return [next(known, None) if run.effect is not None else None for run in self.runs]


def combined_effects(views: Sequence[ComparisonView]) -> list[CombinedEffect]:
    """Every score, aggregate and cost that some run measured of the primary arms, in this order."""
    scores = dict.fromkeys(metric for view in views for metric in view.metrics())
    aggregates = dict.fromkeys(AGGREGATE + name for view in views for name in view.aggregates)
    quantities = [*scores, *aggregates, *(cost.cost_name for cost in COSTS)]
    pairs = primary_pairs(views)
    return _judged([one for q in quantities for pair in pairs if (one := _combined(views, q, pair))])


def _combined(views: Sequence[ComparisonView], quantity: str, pair: Primary) -> CombinedEffect | None:
    runs = tuple(
        run_effect(view, quantity, pair) for view in views if primary(view) in (pair, Primary(pair.b, pair.a))
    )
    if not any(run.has_value for run in runs):
        return None
    effects = [run.effect for run in runs if run.effect is not None]
    included = [run.view for run in runs if run.effect is not None]
    combined = combine(effects, _population(included))
    is_cost = cost_of(quantity) is not None
    estimate = combined.estimate if combined else Estimate.absent(TOO_FEW, n=len(effects))
    predicted = combined.predicted if combined else None
    if is_cost:
        estimate = exponential(estimate)
        predicted = (math.exp(predicted[0]), math.exp(predicted[1])) if predicted else None
    asked = [_margins(view, quantity, pair) for view in included]
    margins = {margin for of_run in asked for margin in of_run}
    return CombinedEffect(
        quantity,
        pair.a,
        pair.b,
        runs,
        combined,
        estimate,
        predicted,
        Verdict.plain(Outcome.NOT_JUDGED),
        registered=bool(asked) and all(asked),
        margin=margins.pop() if asked and all(asked) and len(margins) == 1 else None,
    )


def _margins(view: ComparisonView, quantity: str, pair: Primary) -> list[float | None]:
    """The margins that the run registered for this question, one a time that it asked."""
    wanted = (quantity, pair.a, pair.b)
    return [q.margin for q in view.questions if (q.quantity, q.a, q.b) == wanted]


def _population(views: Sequence[ComparisonView]) -> str:
    """What runs like these are drawn from."""
    models, data = models_and_data(views)
    if models == 1 and views:
        return f"data sets like these {data}, for {model_of(views[0])}"
    if data == 1:
        return f"models like these {models}, on {views[0].source}"
    return f"models and data sets like these ({models} models, {data} data sets)"


def _judged(effects: Sequence[CombinedEffect]) -> list[CombinedEffect]:
    """Verdicts; those that all their runs registered are one family, tested together."""
    asked = [i for i, one in enumerate(effects) if one.registered and one.combined is not None]
    family = dict(zip(asked, adjusted([_statements(effects[i]) for i in asked]), strict=True))
    judged = []
    for i, one in enumerate(effects):
        statements = family.get(i, Statements(one.estimate.p))
        judged.append(replace(one, p=statements.difference, verdict=_verdict(one, statements)))
    return judged


def _statements(one: CombinedEffect) -> Statements:
    """Unadjusted p values; a cost's margin is a share."""
    tests = MarginTests(None, None)
    higher = False if one.is_cost else one.included[0].higher_is_better(one.quantity)
    if one.margin is not None and one.combined is not None and higher is not None:
        margin = math.log1p(one.margin) if one.is_cost else one.margin
        tests = against_margin(one.combined.estimate, margin, higher_is_better=higher)
    return Statements(one.estimate.p, tests.not_worse, tests.not_better)


def _verdict(one: CombinedEffect, statements: Statements) -> Verdict:
    estimate = one.estimate
    if estimate.value is None:
        return Verdict(Outcome.NOT_MEASURED, f"not combined: {estimate.reason}")
    if estimate.identical:
        return EQUAL_COST if one.is_cost else Verdict.plain(Outcome.IDENTICAL)
    p, not_worse = statements.difference, statements.not_worse
    within = not_worse is not None and not_worse < ONE_SIDED
    unit = unit_of(one.quantity)
    margin = "" if one.margin is None else f"the margin of {amount(unit, one.margin)}"
    if p is not None and p < LEVEL:
        outcome = _direction(one, estimate.value)
        if outcome == Outcome.WORSE and within:
            return Verdict(outcome, f"worse, by less than {margin}")
        return Verdict.plain(outcome)
    if within:
        return Verdict(Outcome.NOT_WORSE, f"not worse within {margin}")
    if estimate.p is None and one.is_cost:
        outcome = Outcome.LESS if estimate.value < 1 else Outcome.MORE
        return Verdict(outcome, f"{outcome.value}, by the same factor in every run")
    reach = max(run.contrast.reach for run in one.runs if run.contrast is not None)
    smallest = detectable_effect(unit, estimate.detectable, reach)
    text = f"not separable at {estimate.n} models and data sets" + (f", {smallest}" if smallest else "")
    return Verdict(Outcome.NOT_SEPARABLE, text)


def _direction(one: CombinedEffect, value: float) -> Outcome:
    if one.is_cost:
        return Outcome.BETTER if value < 1 else Outcome.WORSE
    above, below = directions(one.included[0], one.quantity)
    return above if value > 0 else below
