"""Figures as cells of a table: with interval and stages behind them, or the reason why there is none."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import replace

from harness.evidence.costs import BY_KIND, arm_cost
from harness.evidence.missing import asked_items, missing_of
from harness.evidence.scores import arm_score
from harness.evidence.statistics.estimate import Estimate
from harness.evidence.view import BASE, ComparisonView
from harness.quantities import Quantity, is_share
from harness.records import StageResult
from harness.tables import About, Cell, CellKind


def estimate_cell(
    estimate: Estimate, sources: Sequence[str], kind: CellKind = "number", digits: int = 3
) -> Cell:
    """The value with its interval, or why there is none."""
    return Cell(
        estimate.value,
        kind,
        estimate.low,
        estimate.high,
        digits,
        reason=estimate.reason,
        sources=tuple(sources),
        no_interval=_no_interval(estimate),
    )


def _no_interval(estimate: Estimate) -> str | None:
    """Why a value has no interval; a counted one needs none."""
    return estimate.reason if estimate.value is not None and estimate.low is None else None


def difference_cell(quantity: str, estimate: Estimate, sources: Sequence[str]) -> Cell:
    """A difference of scores, of shares in points of percent; or a ratio of costs."""
    kind, digits = difference_format(quantity)
    return estimate_cell(estimate, sources, kind, digits)


def stage_cell(stage: StageResult, quantity: Quantity) -> Cell:
    """A stage's own figure."""
    measured, sources = stage.measured(quantity.name), (stage.digest,)
    about = About(quantity.name, stage.name.partition("/")[0], stage.seed)
    if measured is None:
        return Cell(None, quantity.kind, reason="not recorded", sources=sources, about=about)
    return Cell(measured.value, quantity.kind, reason=measured.reason, sources=sources, about=about)


def cost_cell(view: ComparisonView, arm: str, quantity: Quantity) -> Cell:
    """What an arm is charged, mean over seeds (of bytes the maximum)."""
    cost = arm_cost(view, arm, quantity)
    about = About(quantity.name, arm)
    if cost.reason == BY_KIND:
        return Cell("by kind", sources=cost.sources, about=about)
    return Cell(cost.value, quantity.kind, reason=cost.reason, sources=cost.sources, about=about)


def score_cell(view: ComparisonView, arm: str, metric: str) -> Cell:
    """The arm's score with its interval; against its own answers it is known by definition."""
    kind, digits = score_format(metric)
    about = About(metric, arm)
    if view.random_weights:
        return Cell(None, reason="training began from random weights", about=about)
    if view.rival_of(metric) == arm:
        value = view.against_itself(metric)
        return Cell(value, kind, digits=digits, no_interval="by definition", about=about)
    estimate = arm_score(view, arm, metric)
    sources = view.score_sources(arm, metric)
    if estimate.value is None:
        why = f"{metric}: {estimate.reason}" if estimate.n else view.why_unscored(arm, metric)
        return Cell(None, reason=why, sources=sources, about=about)
    return replace(estimate_cell(estimate, sources, kind, digits), about=about)


def base_score_cell(view: ComparisonView, metric: str) -> Cell:
    """The starting model's mean over items; it has one training, so no interval over seeds."""
    values = list(view.items.get(BASE, {}).get(metric, {}).values())
    if not values or not math.isfinite(sum(values)):
        why = f"{metric}: not finite" if values else f"{metric} was not scored for it"
        return Cell(None, reason=why, about=About(metric, BASE))
    kind, digits = score_format(metric)
    sources = view.score_sources(BASE, metric)
    return Cell(sum(values) / len(values), kind, digits=digits, sources=sources, about=About(metric, BASE))


def score_format(metric: str) -> tuple[CellKind, int]:
    """How a score is shown, and with how many digits."""
    return ("percent", 1) if is_share(metric) else ("number", 3)


def difference_format(quantity: str) -> tuple[CellKind, int]:
    """How a difference of a score, or a ratio of a cost, is shown, and with how many digits."""
    return ("points", 2) if is_share(quantity) else ("number", 3)


def item_cells(view: ComparisonView, metric: str) -> tuple[Cell, Cell]:
    """How many items a cell was asked, and what is missing of them by arm, over its seeds."""
    arms = {arm: missing_of(view, arm, metric) for arm in (BASE, *view.arms)}
    listed = [f"{arm} {one.count:,} of {one.asked:,}" for arm, one in arms.items() if one and one.count]
    return Cell(len(asked_items(view, metric)), "count"), Cell("; ".join(listed) or "none")


def stages_behind(view: ComparisonView, arms: Iterable[str]) -> tuple[str, ...]:
    """Digests of the training stages of arms, each once."""
    cells = (cell for arm in arms for cell in view.cells_of(arm))
    return tuple(dict.fromkeys(digest for cell in cells for digest in cell.stages))
