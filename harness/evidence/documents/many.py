"""Several runs in one report: a row a run, a column an arm, and where the runs agree."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from harness.evidence.arms import arm_titles
from harness.evidence.cells import cost_cell, estimate_cell, score_cell
from harness.evidence.contrasts import Contrast, cost_contrast, score_contrast
from harness.evidence.costs import arm_cost, cost_ratio
from harness.evidence.documents.comparison_json import comparison_data
from harness.evidence.documents.mixing import same_device
from harness.evidence.findings import findings
from harness.evidence.primary import Primary, primary
from harness.evidence.view import ComparisonView
from harness.quantities import FLOPS, PEAK_MEMORY, WALL_SECONDS, Quantity, cost_of
from harness.tables import Cell, Report, Section, Table

LABELS = ("model", "data", "seeds")


def many_report(views: Sequence[ComparisonView]) -> Report:
    """Costs, scores and the difference of each run's primary arms."""
    arms = list(dict.fromkeys(arm for view in views for arm in view.arms))
    metrics = list(dict.fromkeys(metric for view in views for metric in view.metrics()))
    scores = tuple(_scores(views, arms, metric) for metric in metrics)
    sections = (
        Section("Costs", (), tuple(_costs(views, arms))),
        Section("Scores", (), scores),
        Section(_differences_title(views), (), (differences_table(views, metrics),)),
        Section("Runs", (), (_runs(views),)),
    )
    summary = (
        f"{len(views)} runs stand side by side: rows are runs, columns are arms.",
        "Each row was compared on equal terms in itself; between rows model, data and seeds differ.",
        "Intervals are those of each run; nothing is averaged over runs.",
    )
    return Report("Several runs", summary, sections, _data(views))


def _differences_title(views: Sequence[ComparisonView]) -> str:
    """`A against B in every run` where every run is about the same two arms."""
    titles = set()
    for view in views:
        pair, names = primary(view), arm_titles(view)
        titles.add(f"{names[pair.a]} against {names[pair.b]}" if pair else "")
    only = titles.pop() if len(titles) == 1 else ""
    return f"{only or 'The primary arms'} in every run"


def _label(view: ComparisonView) -> tuple[Cell, ...]:
    seeds = ", ".join(map(str, view.seeds))
    pairs = "" if view.replayed else f" ({view.prepared.train_pairs:,} pairs)"
    model = str(view.record.plan.spec.get("model", "replayed"))
    return (Cell(model), Cell(f"{view.source}{pairs}"), Cell(seeds))


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
    rows = tuple(
        (
            *_label(view),
            *(
                score_cell(view, arm, metric)
                if arm in view.arms and metric in view.metrics()
                else Cell(None, reason=f"{arm} has no {metric} in every run")
                for arm in arms
            ),
        )
        for view in views
    )
    name = "".join(c if c.isalnum() else "_" for c in metric)
    return Table(f"runs_{name}", metric, (*LABELS, *arms), rows)


def differences_table(views: Sequence[ComparisonView], metrics: Sequence[str]) -> Table:
    """A row a quantity and run, of the run's primary arms; the note counts how often each verdict was
    reached for the same two arms."""
    rows, counts = [], dict[tuple[str, str, str], Counter[str]]()
    for quantity in (*metrics, WALL_SECONDS.cost_name, FLOPS.cost_name):
        for view in views:
            pair = primary(view)
            one = None if pair is None else _contrast(view, quantity, pair)
            if one is None or one.estimate.value is None:
                continue
            counts.setdefault((quantity, one.a, one.b), Counter())[one.verdict.outcome] += 1
            shown = estimate_cell(one.estimate, one.sources)
            named = (Cell(quantity), *_label(view), Cell(one.a), Cell(one.b))
            rows.append((*named, shown, Cell(one.verdict.text)))
    listed = "; ".join(
        f"{quantity}, {a} against {b}: " + ", ".join(f"{n} {outcome}" for outcome, n in outcomes.items())
        for (quantity, a, b), outcomes in counts.items()
    )
    columns = ("quantity", *LABELS, "a", "b", "a against b", "verdict on a")
    return Table("runs_differences", "Differences by run", columns, tuple(rows), (f"Counts: {listed}.",))


def _contrast(view: ComparisonView, quantity: str, pair: Primary) -> Contrast | None:
    """The primary arms on a quantity, None where the run did not measure it."""
    cost = cost_of(quantity)
    if cost is not None:
        return None if view.replayed else cost_contrast(view, cost, pair.a, pair.b)
    if view.random_weights:
        return None
    one = score_contrast(view, quantity, pair.a, pair.b)
    other = score_contrast(view, quantity, pair.b, pair.a)
    return one or (other.turned() if other is not None else None)


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


def _data(views: Sequence[ComparisonView]) -> dict[str, object]:
    runs = {view.record.id: comparison_data(findings(view)) for view in views}
    stages = {d: s for data in runs.values() for d, s in data["provenance"]["stages"].items()}
    return {
        "schema_version": 1,
        "runs": runs,
        "provenance": {"run_id": ", ".join(runs), "stages": stages},
    }
