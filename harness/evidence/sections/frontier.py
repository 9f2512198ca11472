"""Quality against cost: a figure, what arms reach at equal cost, crossings and the Pareto front."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import combinations

from harness.evidence.amounts import detectable_effect
from harness.evidence.cells import score_format, stages_behind
from harness.evidence.contrasts import HOST_MEMORY, Contrast
from harness.evidence.costs import cost_title
from harness.evidence.curves import AXES, FEWEST_PROBED, Axis, curves, probed_pairs
from harness.evidence.findings import Findings
from harness.evidence.primary import Primary, own_score
from harness.evidence.scores import arm_score
from harness.evidence.series import banded
from harness.evidence.statistics.curve import Curve, crossings
from harness.evidence.statistics.estimate import ITEMS_TARGET, mean_interval
from harness.evidence.statistics.verdict import OPPOSITE, Outcome, verdict
from harness.evidence.view import ComparisonView
from harness.quantities import COSTS, WALL_SECONDS, Quantity
from harness.tables import Cell, CellKind, Figure, Panel, Section, Series, Table

QUALITY: CellKind = "percent"
"""How held-out accuracy is shown."""
Reached = dict[str, list[float | None]]
"""Arm -> quality by seed within a budget, None where the arm has no probe by then."""

Outcomes = dict[tuple[str, str, str], Outcome]
"""(quantity, a, b) -> what was found of a against b."""
FAVOURABLE = {Outcome.BETTER, Outcome.LESS}
ADVERSE = {Outcome.WORSE, Outcome.MORE}
EQUAL = {Outcome.EQUAL, Outcome.IDENTICAL}
NO_WORSE = FAVOURABLE | EQUAL


def section(findings: Findings) -> Section | None:
    """None where weights were random, or where neither probes nor scores were measured."""
    view = findings.view
    if view.random_weights:
        return None
    figure = cost_figure(view)
    too_few = figure.has_series and min(probed_pairs(view)) < FEWEST_PROBED
    shown = figure.has_series and not too_few
    tables = []
    if shown:
        tables += [equal_cost_table(view, findings.primary)]
        tables += [crossings_table(view)] if len(view.arms) > 1 else []
    metric = own_score(view)
    if metric is not None and view.higher_is_better(metric) is not None:
        tables.append(pareto_table(view, findings.contrasts, metric))
    figures = (figure,) if shown else ()
    why = (_too_few(view),) if too_few else ()
    return Section("Quality against cost", why, tuple(tables), figures) if tables or why else None


def _caution(view: ComparisonView) -> str:
    """What quality is here, and why it is not that of the table of scores."""
    counts = " or ".join(map(str, probed_pairs(view)))
    return (
        "Quality is the preference accuracy (chosen above rejected by mean log-prob per token) on the "
        f"{counts} held-out pairs that the probes score, so that its values differ from those of the scores. "
        "It is of the model as it stood at that cost: before an arm's end its learning rate was not yet down."
    )


def _too_few(view: ComparisonView) -> str:
    """Why the curves are not shown."""
    counts = " or ".join(map(str, probed_pairs(view)))
    return (
        f"Quality at equal cost is not measured: the probes scored {counts} held-out pairs, since they may "
        f"take at most 5% of the training that they watch; an accuracy of fewer than {FEWEST_PROBED} pairs "
        "says too little."
    )


def cost_figure(view: ComparisonView) -> Figure:
    """One panel a kind of cost; the mean over seeds at each probe, in the band of its interval."""
    panels = []
    for axis in AXES:
        series = [_series(arm, of_seeds) for arm, of_seeds in _curves(view, axis).items()]
        if series:
            names = (f"by {axis.name}", axis.label, "preference accuracy")
            panels.append(Panel(*names, tuple(series), x_kind=axis.total.kind, y_kind=QUALITY))
    caption = (
        f"{_caution(view)} Bands: 95% t intervals over seeds, within 0 and 1. Stages of an arm follow one "
        "another."
    )
    return Figure("quality_against_cost", "Held-out quality against cost", tuple(panels), caption)


def equal_cost_table(view: ComparisonView, pair: Primary | None) -> Table:
    """A row for each arm's whole cost on each axis: what every arm has reached by then."""
    rows = []
    for axis in AXES:
        of_arms = _curves(view, axis)
        for payer, of_seeds in of_arms.items():
            budget = sum(curve.total for curve in of_seeds) / len(of_seeds)
            reached = {arm: [curve.within(budget) for curve in cs] for arm, cs in of_arms.items()}
            rows.append(
                (
                    Cell(f"{axis.name} of {payer}"),
                    Cell(budget, axis.total.kind, sources=stages_behind(view, [payer])),
                    *(_reached(reached.get(arm), stages_behind(view, [arm])) for arm in view.arms),
                    *([Cell(_verdict(reached, pair))] if pair else []),
                )
            )
    columns = ("budget", "cost", *view.arms, *([f"{pair.a} against {pair.b}"] if pair else []))
    note = f"{_caution(view)} An arm that costs less than the budget counts as it ended. Means over seeds."
    notes = (note, *([_unadjusted(pair)] if pair else []))
    return Table("equal_cost", "What arms reach at equal cost", columns, tuple(rows), notes)


def _unadjusted(pair: Primary) -> str:
    """What the verdicts at equal cost are worth."""
    return (
        f"Each verdict compares {pair.a} with {pair.b} in one test alone, a paired t over seeds at 5%: "
        "adjusted neither for the other rows nor for the registered questions, it is exploratory."
    )


def crossings_table(view: ComparisonView) -> Table:
    """Where the mean curves of two arms cross, on every axis."""
    rows = []
    for axis in AXES:
        of_arms = _curves(view, axis)
        for a, b in combinations(of_arms, 2):
            crossed = [(cost, a if leads else b) for cost, leads in crossings(of_arms[a], of_arms[b])]
            if not crossed:
                none = Cell(None, axis.total.kind, reason="the curves do not cross")
                rows.append((Cell(axis.name), Cell(a), Cell(b), none, Cell("nobody")))
            for cost, leader in crossed:
                where = Cell(cost, axis.total.kind, sources=stages_behind(view, [a, b]))
                rows.append((Cell(axis.name), Cell(a), Cell(b), where, Cell(leader)))
    note = (
        "Mean curves over seeds, linear between probes, an arm that has ended staying as it ended; a "
        "crossing says nothing of separability."
    )
    columns = ("cost in", "a", "b", "curves cross at", "leads from there")
    return Table("crossings", "Where the curves cross", columns, tuple(rows), (note,))


def pareto_table(view: ComparisonView, contrasts: Sequence[Contrast], metric: str) -> Table:
    """Which arms no other one beats in both cost and score, by differences that are separable."""
    kind, _ = score_format(metric)
    outcomes = {(one.quantity, one.a, one.b): one.verdict.outcome for one in contrasts}
    rows = []
    for arm in view.arms:
        value = arm_score(view, arm, metric).value
        score = Cell(value, kind, reason="not scored", sources=view.score_sources(arm, metric))
        others = [other for other in view.arms if other != arm]
        rows.append((Cell(arm), score, *(_front(outcomes, metric, q, arm, others) for q in COSTS)))
    note = (
        f"Score: {metric}. An arm is dominated where another one is separably better in cost or score and "
        "separably better or equal in the other; on the front where every other arm is separably worse in "
        "one of them; else not separable. Differences as in the table of arm against arm, unadjusted."
    )
    time = cost_title(view, WALL_SECONDS)
    columns = ("arm", "score", *(time if q == WALL_SECONDS else q.title for q in COSTS))
    return Table("pareto", "Pareto front", columns, tuple(rows), (note,))


def _front(outcomes: Outcomes, metric: str, quantity: Quantity, arm: str, others: Sequence[str]) -> Cell:
    """Where the arm stands in score and one cost, or why that cannot be judged."""
    against = {
        other: (
            _outcome(outcomes, quantity.cost_name, other, arm),
            _outcome(outcomes, metric, other, arm),
        )
        for other in others
    }
    costs = {cost for cost, _ in against.values()}
    if Outcome.NOT_JUDGED in costs:
        return Cell(None, reason=HOST_MEMORY)
    known = {other: pair for other, pair in against.items() if not set(pair) & {None, Outcome.NOT_MEASURED}}
    if not known:
        return Cell(None, reason="no two arms have both figures")
    dominating = [other for other, pair in known.items() if set(pair) <= NO_WORSE and set(pair) & FAVOURABLE]
    if dominating:
        return Cell(f"dominated by {', '.join(dominating)}")
    unclear = [other for other, pair in known.items() if not set(pair) & ADVERSE and not set(pair) <= EQUAL]
    return Cell(f"not separable from {', '.join(unclear)}" if unclear else "on the front")


def _outcome(outcomes: Outcomes, quantity: str, a: str, b: str) -> Outcome | None:
    """What was found of `a` against `b`, whichever of the two the contrast names first."""
    found = outcomes.get((quantity, a, b))
    if found is not None:
        return found
    turned = outcomes.get((quantity, b, a))
    return None if turned is None else OPPOSITE.get(turned, turned)


def _curves(view: ComparisonView, axis: Axis) -> dict[str, list[Curve]]:
    of_arms = {arm: curves(view, arm, axis) for arm in view.arms}
    return {arm: of_seeds for arm, of_seeds in of_arms.items() if of_seeds}


def _series(arm: str, of_seeds: Sequence[Curve]) -> Series:
    """Mean cost and quality of the i-th probe over the seeds that have it."""
    count = min(len(curve.cost) for curve in of_seeds)
    quality = [[curve.quality[i] for curve in of_seeds] for i in range(count)]
    costs = [sum(curve.cost[i] for curve in of_seeds) / len(of_seeds) for i in range(count)]
    line = banded(arm, costs, quality)
    low, high = (tuple(min(max(end, 0.0), 1.0) for end in ends) for ends in (line.low, line.high))
    return replace(line, low=low, high=high)


def _reached(values: Sequence[float | None] | None, sources: tuple[str, ...]) -> Cell:
    known = [value for value in values or [] if value is not None]
    if not known or values is None or len(known) < len(values):
        return Cell(None, QUALITY, reason="the arm has no probe at or before this cost")
    return Cell(sum(known) / len(known), QUALITY, sources=sources)


def _verdict(reached: Reached, pair: Primary) -> str:
    """What the paired differences over seeds allow to say of the first arm."""
    left, right = reached.get(pair.a), reached.get(pair.b)
    if not left or not right or None in left or None in right or len(left) != len(right):
        return "not compared"
    differences = [a - b for a, b in zip(left, right, strict=True) if a is not None and b is not None]
    estimate = mean_interval(differences, ITEMS_TARGET)
    return verdict(estimate, smallest=detectable_effect("points", estimate.detectable, 1.0)).text
