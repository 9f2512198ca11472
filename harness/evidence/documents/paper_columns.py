"""What a paper's table may show: costs, their ratios and scores, by short names that macros share."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from harness.evidence.arms import arm_titles
from harness.evidence.cells import base_score_cell, cost_cell, estimate_cell, score_cell
from harness.evidence.costs import MemoryKind, cost_ratio, memory_kind
from harness.evidence.primary import headline_score, own_score, primary
from harness.evidence.view import BASE, ComparisonView
from harness.quantities import AGGREGATE, COSTS, ENERGY, PEAK_MEMORY, Quantity, cost_of
from harness.tables import Cell

JOINT = "+"
RATIO = "_ratio"
ARROWS = {"higher": " ↑", "lower": " ↓", None: ""}


@dataclass(frozen=True)
class Column:
    """One column: `name` as flags and macros have it, a heading of one line or two, and its quantity.

    `better` is the direction of what is good. A ratio is a cost over that of the cost reference.
    """

    name: str
    quantity: str
    title: str
    detail: str = ""
    better: str | None = None
    is_ratio: bool = False

    @property
    def heading(self) -> str:
        """The heading in lines, with an arrow that says which way is good."""
        return self.title + ARROWS[self.better] + (f"\n{self.detail}" if self.detail else "")

    @property
    def words(self) -> str:
        """The heading in one line."""
        return f"{self.title} {self.detail}".strip()


def display_names(view: ComparisonView) -> dict[str, str]:
    """What a paper calls the arms and the model that they start from: `SFT+DPO`."""
    return {**arm_titles(view, JOINT), BASE: "Base model"}


def columns_of(views: Sequence[ComparisonView]) -> dict[str, Column]:
    """Every column that some of the runs can fill, by name."""
    costs = [] if all(view.replayed for view in views) else [_cost(quantity) for quantity in COSTS]
    references = {display_names(view).get(view.cost_reference, view.cost_reference) for view in views}
    to = references.pop() if len(references) == 1 else "the cost reference"
    ratios = [_ratio(quantity, to) for quantity in COSTS] if costs else []
    return {column.name: column for column in (*costs, *ratios, *_scores(views))}


def _cost(quantity: Quantity) -> Column:
    return Column(quantity.word.lower(), quantity.cost_name, _title(quantity), better=quantity.better)


def _ratio(quantity: Quantity, to: str) -> Column:
    name = quantity.word.lower() + RATIO
    return Column(name, quantity.cost_name, _title(quantity), f"to {to}", quantity.better, is_ratio=True)


def _title(quantity: Quantity) -> str:
    return quantity.word[0].upper() + quantity.word[1:]


def _scores(views: Sequence[ComparisonView]) -> list[Column]:
    """Scores by their metric alone where no other benchmark has one of that name."""
    if all(view.random_weights for view in views):
        return []
    metrics = dict.fromkeys(metric for view in views for metric in view.metrics())
    shared = Counter(
        [metric.rpartition(".")[2] for metric in metrics] + [cost.word.lower() for cost in COSTS]
    )
    return [_score(views, metric, alone=shared[metric.rpartition(".")[2]] == 1) for metric in metrics]


def _score(views: Sequence[ComparisonView], metric: str, *, alone: bool) -> Column:
    view = next(view for view in views if metric in view.metrics())
    benchmark, _, last = metric.rpartition(".")
    task = benchmark.rpartition("/")[2]
    name = re.sub(r"\W+", "_", last if alone else f"{task}_{last}")
    higher = view.higher_is_better(metric)
    better = None if higher is None else "higher" if higher else "lower"
    rival = view.rival_of(metric)
    detail = "" if alone else in_words(task)
    if rival is None:
        return Column(name, metric, in_words(last), detail, better)
    against = "chosen answers" if rival == "chosen" else display_names(view).get(rival, rival)
    title = in_words(re.sub(f"_vs_{re.escape(rival)}$", "", last))
    return Column(name, metric, title, f"{detail} vs. {against}".strip(), better)


def in_words(name: str) -> str:
    """`win_rate` -> `Win rate`."""
    words = re.sub(r"[\W_]+", " ", name).strip()
    return words[:1].upper() + words[1:]


def column_of(columns: Mapping[str, Column], quantity: str) -> Column:
    """The column of a quantity, not of its ratio; of one that no arm has by itself its name alone."""
    found = (one for one in columns.values() if one.quantity == quantity and not one.is_ratio)
    name = quantity.removeprefix(AGGREGATE)
    return next(found, Column(re.sub(r"\W+", "_", name), quantity, in_words(name)))


def usual_columns(views: Sequence[ComparisonView], columns: Mapping[str, Column]) -> list[str]:
    """Costs that repeat and were measured, then the registered scores; without any, the headline's."""
    quantities = [quantity for quantity in COSTS if any(_is_usual(view, quantity) for view in views)]
    names = [quantity.cost_name for quantity in quantities]
    asked = [question.quantity for view in views for question in view.questions]
    scores = [name for name in asked if cost_of(name) is None] or [
        metric for view in views for metric in _headline(view)
    ]
    known = {column.quantity: column.name for column in columns.values() if not column.is_ratio}
    return list(dict.fromkeys(known[name] for name in (*names, *scores) if name in known))


def _is_usual(view: ComparisonView, quantity: Quantity) -> bool:
    """Host memory does not repeat, and joules are seldom known."""
    if view.replayed:
        return False
    if quantity == PEAK_MEMORY:
        return memory_kind(view) == MemoryKind.CUDA
    return quantity != ENERGY or all(cost_cell(view, arm, quantity).value is not None for arm in view.arms)


def _headline(view: ComparisonView) -> list[str]:
    pair = primary(view)
    found = (headline_score(view, pair) if pair else None, own_score(view))
    return [metric for metric in found if metric is not None]


def cell_of(view: ComparisonView, arm: str, column: Column) -> Cell:
    """An arm's figure, or the reason why a run has none."""
    cost = cost_of(column.quantity)
    if cost is None:
        if arm == BASE:
            return base_score_cell(view, column.quantity)
        if column.quantity not in view.metrics():
            return Cell(None, reason=f"{column.quantity} was not scored")
        return score_cell(view, arm, column.quantity)
    if arm == BASE or view.replayed:
        return Cell(None, cost.kind, reason="nothing was trained")
    if not column.is_ratio:
        return cost_cell(view, arm, cost)
    return _ratio_cell(view, arm, cost)


def _ratio_cell(view: ComparisonView, arm: str, cost: Quantity) -> Cell:
    reference = view.cost_reference
    if reference not in view.arms:
        return Cell(None, "number", reason=f"{reference} is not in this comparison")
    sources = (*cost_cell(view, arm, cost).sources, *cost_cell(view, reference, cost).sources)
    ratio = cost_ratio(view, arm, reference, cost)
    return estimate_cell(ratio, tuple(dict.fromkeys(sources)), digits=2)
