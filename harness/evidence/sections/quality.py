"""The tables that answer the question: costs and results, scores, arm against arm."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

from harness.evidence.cells import estimate_cell
from harness.evidence.contrasts import HEADLINE_WIN_RATE, HOST_MEMORY, NOT_JUDGED, Evidence
from harness.evidence.costs import QUANTITIES, arm_cost, cost_ratio, memory_name
from harness.evidence.labels import marked
from harness.evidence.labels import notes as label_notes
from harness.evidence.scores import arm_score, is_share
from harness.evidence.sections.categories import gradings
from harness.evidence.statistics.estimate import ITEMS_TARGET
from harness.evidence.statistics.verdict import is_separable
from harness.evidence.view import ComparisonView
from harness.tables import Cell, CellKind, Table

NOT_MEASURED = "not measured"
NO_GRADER = "no grader"


def main_table(view: ComparisonView) -> Table:
    """One row an arm: what it is, what it costs, what it reaches."""
    columns = (
        "method",
        "stages",
        marked(view, "training time", "wall_seconds"),
        marked(view, memory_name(view), "peak_memory_bytes"),
        marked(view, "FLOPs", "flops"),
        marked(view, "win rate", HEADLINE_WIN_RATE),
        "helpfulness",
        marked(view, "relative cost", "wall_seconds"),
    )
    rows = []
    notes = [
        "Training time: from model load to the final checkpoint, summed over stages; mean of "
        f"{len(view.seeds)} seed(s). Relative cost: training time over that of {view.cost_reference}, "
        f"geometric mean over seeds and repeats with its 95% interval. Win rate: against "
        f"{_rival(view)}, 50% = equal.",
        *label_notes(view, *QUANTITIES, HEADLINE_WIN_RATE),
    ]
    for arm in view.arms:
        names = [s.name.split("/")[1].split("@")[0] for s in view.stages_of(view.cells_of(arm)[0])]
        rows.append(
            (
                Cell(arm),
                Cell(" then ".join(names)),
                _cost_cell(view, arm, "wall_seconds", "seconds"),
                _cost_cell(view, arm, "peak_memory_bytes", "bytes"),
                _cost_cell(view, arm, "flops", "flops"),
                _of_arm(view, arm, HEADLINE_WIN_RATE),
                _helpfulness(view, arm),
                _relative(view, arm),
            )
        )
    return Table("main", "What each method costs and reaches", columns, tuple(rows), tuple(notes))


def _helpfulness(view: ComparisonView, arm: str) -> Cell:
    """On five points, from MT-Bench's grades."""
    graded = gradings(view)
    if not graded:
        return Cell(None, reason=NO_GRADER)
    return score_cell(view, arm, f"{graded[0]}.helpfulness")


def _cost_cell(view: ComparisonView, arm: str, quantity: str, kind: CellKind) -> Cell:
    cost = arm_cost(view, arm, quantity)
    return Cell(cost.value, kind, reason=cost.reason, sources=cost.sources)


def _relative(view: ComparisonView, arm: str) -> Cell:
    if view.cost_reference not in view.arms:
        return Cell(None, reason=f"{view.cost_reference} is not in this comparison")
    own, whole = (arm_cost(view, a, "wall_seconds") for a in (arm, view.cost_reference))
    sources = tuple(dict.fromkeys((*own.sources, *whole.sources)))
    ratio = cost_ratio(view, arm, view.cost_reference, "wall_seconds")
    return estimate_cell(ratio, sources, "percent", 1)


def _rival(view: ComparisonView) -> str:
    rival = view.rival_of(HEADLINE_WIN_RATE)
    if rival is None:
        return view.baseline
    if rival in view.arms:
        return rival
    return "the data's chosen answers" if rival == "chosen" else f"the answers of {rival}"


def _of_arm(view: ComparisonView, arm: str, metric: str) -> Cell:
    """The arm's score; against its own answers it is known by definition."""
    if view.rival_of(metric) == arm and not view.random_weights:
        kind: CellKind = "percent" if is_share(metric) else "number"
        digits = 1 if is_share(metric) else 3
        return Cell(view.against_itself(metric), kind, digits=digits, reason="by definition")
    return score_cell(view, arm, metric)


def score_cell(view: ComparisonView, arm: str, metric: str) -> Cell:
    """The arm's score with its interval, or why there is none."""
    if view.random_weights:
        return Cell(None, reason="training began from random weights")
    estimate = arm_score(view, arm, metric)
    sources = view.score_sources(arm, metric)
    if estimate.value is None:
        why = f"{metric}: {estimate.reason}" if estimate.n else view.why_unscored(arm, metric)
        return Cell(None, reason=why, sources=sources)
    kind: CellKind = "percent" if is_share(metric) else "number"
    digits = 1 if is_share(metric) else 3
    return Cell(estimate.value, kind, estimate.low, estimate.high, digits, sources=sources)


def score_table(view: ComparisonView, evidence: Sequence[Evidence]) -> Table:
    """One row a metric, one column an arm; bold where the arm beats every other one separably."""
    columns = ("benchmark", "metric", "base model", *view.arms)
    rows = []
    for metric in view.metrics():
        benchmark, _, name = metric.rpartition(".")
        cells = [
            _bold_if_best(_of_arm(view, arm, metric), arm, metric, view.arms, evidence) for arm in view.arms
        ]
        rows.append((Cell(benchmark), Cell(marked(view, name, metric)), _of_base(view, metric), *cells))
    note = (
        f"Mean over {len(view.seeds)} seeds with a 95% t interval over seeds: {ITEMS_TARGET}."
        if len(view.seeds) > 1
        else "One seed: intervals are Wilson's over items, for shares of right items alone."
    )
    notes = (note, "Bold: separably better than every other arm.", *label_notes(view, *view.metrics()))
    return Table("scores", "Scores", columns, tuple(rows), notes)


def _of_base(view: ComparisonView, metric: str) -> Cell:
    """The starting model's mean over items; it has one training, so no interval over seeds."""
    values = list(view.items.get("base", {}).get(metric, {}).values())
    if not values or not math.isfinite(sum(values)):
        return Cell(None, reason=f"{metric}: not finite" if values else f"{metric} was not scored for it")
    kind: CellKind = "percent" if is_share(metric) else "number"
    digits = 1 if is_share(metric) else 3
    sources = view.score_sources("base", metric)
    return Cell(sum(values) / len(values), kind, digits=digits, sources=sources)


def _bold_if_best(
    cell: Cell, arm: str, metric: str, arms: Sequence[str], evidence: Sequence[Evidence]
) -> Cell:
    verdicts = {(e.a, e.b): e.verdict for e in evidence if e.quantity == metric}
    wins = [
        verdicts.get((arm, other)) == "better" or verdicts.get((other, arm)) == "worse"
        for other in arms
        if other != arm
    ]
    return replace(cell, bold=bool(wins) and all(wins))


def _over_items(e: Evidence) -> Cell:
    """The two-level interval, for scores over several seeds."""
    if e.both is None:
        return Cell(None, reason="a cost, or one seed")
    return estimate_cell(e.both, e.sources)


def evidence_table(view: ComparisonView, evidence: Sequence[Evidence]) -> Table:
    """Every paired estimate of arm against arm."""
    arms = view.arms
    columns = ("quantity", "a", "b", "a against b", "p", "n", "verdict on a", "about", "over items too")
    rows = []
    absent: dict[str, str] = {}
    for e in evidence:
        if e.b not in arms:
            continue
        if e.estimate.value is None:
            absent[e.quantity] = e.estimate.reason or "unknown"
            continue
        bold = bool(is_separable(e.estimate, neutral=1.0 if e.kind == "ratio" else 0.0))
        value = e.estimate
        rows.append(
            (
                Cell(marked(view, e.quantity, e.quantity)),
                Cell(e.a),
                Cell(e.b),
                Cell(value.value, "number", value.low, value.high, 3, bold, value.reason, e.sources),
                Cell(value.p, "number", digits=4, reason="no test"),
                Cell(value.n, "count"),
                Cell(e.verdict),
                Cell(value.target or NOT_MEASURED),
                _over_items(e),
            )
        )
    return Table(
        "evidence",
        "Arm against arm",
        columns,
        tuple(rows),
        (
            "Scores: difference a - b; a win rate against b itself is compared with 50%. Costs: ratio "
            "a / b, geometric mean over seeds. Intervals: 95%. Over items too: about the population of items "
            "and seeds alike, by a two-level analysis. "
            + (
                "What was registered before the run stands in the table of questions; all else here is "
                "exploratory."
                if view.record.plan.spec.get("questions")
                else "Nothing here was registered before the run, so all of it is exploratory."
            ),
            *([f"Memory: {HOST_MEMORY}."] if any(e.verdict == NOT_JUDGED for e in evidence) else []),
            *(f"{quantity} is not measured: {reason}." for quantity, reason in absent.items()),
            *label_notes(view, *(e.quantity for e in evidence)),
        ),
    )
