"""Several runs in one report: what they say together, then a row a run and a column an arm."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from harness.evidence.cells import cost_cell, estimate_cell, item_cells, score_cell
from harness.evidence.combined import CombinedEffect, combined_effects
from harness.evidence.costs import arm_cost, cost_ratio
from harness.evidence.documents.claims_over_runs import claims_over_runs
from harness.evidence.documents.comparison_json import comparison_data
from harness.evidence.documents.mixing import same_device
from harness.evidence.documents.over_runs import (
    LABELS,
    combined_section,
    differences_table,
    summary_of,
    title_of,
)
from harness.evidence.findings import findings
from harness.evidence.run_effects import run_label
from harness.evidence.sections.quality import ITEMS
from harness.evidence.view import ComparisonView
from harness.pipeline.claims import Claim
from harness.quantities import FLOPS, PEAK_MEMORY, WALL_SECONDS, Quantity
from harness.tables import Cell, Report, Section, Table


def many_report(views: Sequence[ComparisonView], claims: Sequence[Claim] = ()) -> Report:
    """Combined effects of the primary arms, their difference in each run, then costs, scores and claims."""
    arms = list(dict.fromkeys(arm for view in views for arm in view.arms))
    metrics = list(dict.fromkeys(metric for view in views for metric in view.metrics()))
    scores = tuple(_scores(views, arms, metric) for metric in metrics)
    effects = combined_effects(views)
    combined = combined_section(views, effects)
    claimed = claims_over_runs(views, claims)
    sections = (
        *([combined] if combined else []),
        Section(f"{title_of(views)} in every run", (), (differences_table(effects),)),
        Section("Costs", (), tuple(_costs(views, arms))),
        Section("Scores", (), scores),
        *([Section(claimed.title, (), (claimed,))] if claimed else []),
        Section("Runs", (), (_runs(views),)),
    )
    summary = (
        *summary_of(views, effects),
        f"{len(views)} runs stand side by side: rows are runs, columns are arms.",
        "Each row was compared on equal terms in itself; between rows model, data and seeds differ.",
    )
    return Report("Several runs", summary, sections, _data(views, effects))


def _label(view: ComparisonView) -> tuple[Cell, ...]:
    model, data, seeds = run_label(view)
    return (Cell(model), Cell(data), Cell(seeds))


def _costs(views: Sequence[ComparisonView], arms: Sequence[str]) -> list[Table]:
    """Ratios of time and FLOPs, then the figures; times of different devices are left out."""
    tables = [_ratios(views, arms, quantity) for quantity in (WALL_SECONDS, FLOPS)]
    alike = same_device(views)
    for quantity in (WALL_SECONDS, PEAK_MEMORY, FLOPS):
        comparable = alike or quantity == FLOPS
        rows = tuple(
            (*_label(view), *(_cost(view, arm, quantity, comparable=comparable) for arm in arms))
            for view in views
        )
        title = quantity.title[0].upper() + quantity.title[1:]
        tables.append(Table(f"runs_{quantity.name}", title, (*LABELS, *arms), rows))
    return tables


def _cost(view: ComparisonView, arm: str, quantity: Quantity, *, comparable: bool) -> Cell:
    if not comparable:
        return Cell(None, reason="the runs are of different devices or installations")
    if arm not in view.arms or view.replayed:
        return Cell(None, reason=f"{arm} was not trained in every run")
    return cost_cell(view, arm, quantity)


def _ratios(views: Sequence[ComparisonView], arms: Sequence[str], quantity: Quantity) -> Table:
    references = list(dict.fromkeys(view.cost_reference for view in views))
    of = references[0] if len(references) == 1 else "each run's cost reference"
    rows = tuple((*_label(view), *(_ratio(view, arm, quantity) for arm in arms)) for view in views)
    title = f"Relative {quantity.word}, of {of}"
    return Table(f"runs_relative_{quantity.name}", title, (*LABELS, *arms), rows)


def _ratio(view: ComparisonView, arm: str, quantity: Quantity) -> Cell:
    if view.replayed or not {arm, view.cost_reference} <= set(view.arms):
        return Cell(None, reason=f"{arm} or the arm it is held against is not in every run")
    ratio = cost_ratio(view, arm, view.cost_reference, quantity)
    return estimate_cell(ratio, arm_cost(view, arm, quantity).sources, "percent", 1)


def _scores(views: Sequence[ComparisonView], arms: Sequence[str], metric: str) -> Table:
    rows = tuple((*_label(view), *_scored(view, arms, metric)) for view in views)
    name = "".join(c if c.isalnum() else "_" for c in metric)
    return Table(f"runs_{name}", metric, (*LABELS, *arms, "items", "missing"), rows, (ITEMS,))


def _scored(view: ComparisonView, arms: Sequence[str], metric: str) -> Iterator[Cell]:
    """What every arm scores in one run, and of how many items."""
    known = metric in view.metrics()
    for arm in arms:
        absent = Cell(None, reason=f"{arm} has no {metric} in every run")
        yield score_cell(view, arm, metric) if known and arm in view.arms else absent
    yield from item_cells(view, metric) if known else (Cell(None, reason=f"not every run has {metric}"),) * 2


def _runs(views: Sequence[ComparisonView]) -> Table:
    rows = tuple(
        (
            *_label(view),
            Cell(view.record.id),
            Cell(view.record.created_at[:19]),
            Cell(None if view.replayed else view.prepared.train_pairs, "count", reason="replayed"),
        )
        for view in views
    )
    return Table("runs", "Runs", (*LABELS, "run", "finished", "training pairs"), rows)


def _data(views: Sequence[ComparisonView], effects: Sequence[CombinedEffect]) -> dict[str, object]:
    runs = {view.record.id: comparison_data(findings(view)) for view in views}
    stages = {d: s for data in runs.values() for d, s in data["provenance"]["stages"].items()}
    return {
        "schema_version": 1,
        "runs": runs,
        "combined": [_combined(one) for one in effects if one.combined is not None],
        "provenance": {"run_id": ", ".join(runs), "stages": stages},
    }


def _combined(one: CombinedEffect) -> dict[str, object]:
    """A combined effect; of costs a ratio, with tau of its logarithm."""
    assert one.combined is not None
    runs = {run.view.record.id: weight for run, weight in zip(one.runs, one.weights, strict=True)}
    return {
        "quantity": one.quantity,
        "a": one.a,
        "b": one.b,
        "estimate": one.estimate.value,
        "low": one.estimate.low,
        "high": one.estimate.high,
        "n": one.estimate.n,
        "p": one.p,
        "target": one.estimate.target,
        "verdict": one.verdict.text,
        "registered": one.registered,
        "margin": one.margin,
        "tau": one.combined.tau,
        "i2": one.combined.i2,
        "q_p": one.combined.q_p,
        "predicted": one.predicted,
        "weights": runs,
    }
