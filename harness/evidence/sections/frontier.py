"""Quality against cost: a figure, what arms reach at equal cost, crossings and the Pareto front."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

from harness.evidence.costs import arm_cost
from harness.evidence.curves import AXES, Axis, Curve, crossings, curves, pareto
from harness.evidence.scores import arm_score, is_share
from harness.evidence.statistics.estimate import ITEMS_TARGET, mean_interval
from harness.evidence.statistics.verdict import verdict
from harness.evidence.view import ComparisonView
from harness.tables import Cell, CellKind, Figure, Panel, Series, Table

ASKED = ("orpo", "sft_dpo")
CAUTION = (
    "Quality is the held-out preference accuracy (chosen above rejected by mean log-prob per token) of the "
    "model as it stood at that cost: before an arm's end its learning rate was not yet down."
)


def cost_figure(view: ComparisonView) -> Figure:
    """One panel a kind of cost; the mean over seeds at each probe, bands from lowest to highest."""
    panels = []
    for axis in AXES:
        series = [_series(arm, found) for arm, found in _all(view, axis).items()]
        if series:
            label = "preference accuracy"
            panels.append(Panel(f"by {axis.name}", axis.label, label, tuple(series), x_kind=axis.kind))
    caption = f"{CAUTION} Stages of an arm follow one another; joules only where a counter measured them."
    return Figure("quality_against_cost", "Held-out quality against cost", tuple(panels), caption)


def equal_cost_table(view: ComparisonView) -> Table:
    """A row for each arm's whole cost on each axis: what every arm has reached by then."""
    rows = []
    for axis in AXES:
        found = _all(view, axis)
        for payer, own in found.items():
            budget = sum(curve.total for curve in own) / len(own)
            reached = {arm: [c.within(budget) for c in cs] for arm, cs in found.items()}
            cells = [_reached(reached.get(arm), _sources(view, arm)) for arm in view.arms]
            rows.append(
                (
                    Cell(f"{axis.name} of {payer}"),
                    Cell(budget, axis.kind, sources=_sources(view, payer)),
                    *cells,
                    Cell(_said(reached)),
                )
            )
    columns = ("budget", "cost", *view.arms, "orpo against sft_dpo")
    note = f"{CAUTION} An arm that costs less than the budget counts as it ended. Means over seeds."
    return Table("equal_cost", "What arms reach at equal cost", columns, tuple(rows), (note,))


def crossings_table(view: ComparisonView) -> Table:
    """Where the mean curves of two arms cross, on every axis."""
    rows = []
    for axis in AXES:
        found = _all(view, axis)
        for a, b in combinations(found, 2):
            crossed = [(cost, a if leads else b) for cost, leads in crossings(found[a], found[b])]
            sources = (*_sources(view, a), *_sources(view, b))
            if not crossed:
                none = Cell(None, axis.kind, reason="the curves do not cross")
                rows.append((Cell(axis.name), Cell(a), Cell(b), none, Cell("nobody")))
            for cost, leader in crossed:
                where = Cell(cost, axis.kind, sources=sources)
                rows.append((Cell(axis.name), Cell(a), Cell(b), where, Cell(leader)))
    note = (
        "Mean curves over seeds, linear between probes, an arm that has ended staying as it ended; a "
        "crossing says nothing of separability."
    )
    columns = ("cost in", "a", "b", "curves cross at", "leads from there")
    return Table("crossings", "Where the curves cross", columns, tuple(rows), (note,))


def pareto_table(view: ComparisonView, metric: str) -> Table:
    """Which arms no other one beats in both cost and score, by their means."""
    axes = {"training time": "wall_seconds", "peak memory": "peak_memory_bytes", "FLOPs": "flops"}
    axes["energy"] = "energy_joules"
    sign = -1.0 if view.higher_is_better(metric) is False else 1.0
    scores = {arm: arm_score(view, arm, metric).value for arm in view.arms}
    columns: dict[str, dict[str, list[str]] | None] = {}
    for title, quantity in axes.items():
        points = {
            arm: (cost, sign * score)
            for arm, score in scores.items()
            if score is not None and (cost := arm_cost(view, arm, quantity).value) is not None
        }
        columns[title] = pareto(points) if points else None
    kind: CellKind = "percent" if is_share(metric) else "number"
    rows = [
        (
            Cell(arm),
            Cell(scores[arm], kind, reason="not scored", sources=view.score_sources(arm, metric)),
            *(_front(found, arm) for found in columns.values()),
        )
        for arm in view.arms
    ]
    note = f"By means alone, whether separable or not. Score: {metric}."
    return Table("pareto", "Pareto front", ("arm", "score", *columns), tuple(rows), (note,))


def _front(found: dict[str, list[str]] | None, arm: str) -> Cell:
    if found is None or arm not in found:
        return Cell(None, reason="no arm has both figures")
    return Cell(f"dominated by {', '.join(found[arm])}" if found[arm] else "on the front")


def _all(view: ComparisonView, axis: Axis) -> dict[str, list[Curve]]:
    found = {arm: curves(view, arm, axis) for arm in view.arms}
    return {arm: cs for arm, cs in found.items() if cs}


def _series(arm: str, found: Sequence[Curve]) -> Series:
    """Mean cost and quality of the i-th probe over the seeds that have it."""
    count = min(len(curve.cost) for curve in found)
    quality = [[curve.quality[i] for curve in found] for i in range(count)]
    return Series(
        arm,
        tuple(sum(curve.cost[i] for curve in found) / len(found) for i in range(count)),
        tuple(sum(q) / len(q) for q in quality),
        tuple(min(q) for q in quality),
        tuple(max(q) for q in quality),
    )


def _reached(values: Sequence[float | None] | None, sources: tuple[str, ...]) -> Cell:
    known = [v for v in values or [] if v is not None]
    if not known or values is None or len(known) < len(values):
        return Cell(None, "percent", reason="the arm has no probe at or before this cost")
    return Cell(sum(known) / len(known), "percent", sources=sources)


def _said(reached: dict[str, list[float | None]]) -> str:
    """The verdict on the paired difference over seeds."""
    left, right = (reached.get(arm) for arm in ASKED)
    if not left or not right or None in left or None in right or len(left) != len(right):
        return "not compared"
    differences = [a - b for a, b in zip(left, right, strict=True) if a is not None and b is not None]
    return verdict(mean_interval(differences, ITEMS_TARGET))


def _sources(view: ComparisonView, arm: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(d for cell in view.cells_of(arm) for d in cell.stages))
