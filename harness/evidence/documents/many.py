"""Several runs in one report: a row a run, a column an arm, and where the runs agree."""

from __future__ import annotations

from collections.abc import Sequence

from harness.evidence.cells import estimate_cell
from harness.evidence.contrasts import all_evidence, cost_evidence, score_evidence
from harness.evidence.costs import arm_cost, cost_ratio
from harness.evidence.documents.comparison_json import comparison_data
from harness.evidence.documents.mixing import same_device
from harness.evidence.sections.quality import score_cell
from harness.evidence.view import ComparisonView
from harness.tables import Cell, CellKind, Report, Section, Table

A, B = "orpo", "sft_dpo"


def many_report(views: Sequence[ComparisonView]) -> Report:
    """Costs, scores and the difference of ORPO and SFT then DPO in every run."""
    arms = list(dict.fromkeys(arm for view in views for arm in view.arms))
    metrics = list(dict.fromkeys(m for view in views for m in view.metrics()))
    scores = tuple(_scores(views, arms, metric) for metric in metrics)
    sections = (
        Section("Costs", (), tuple(_costs(views, arms))),
        Section("Scores", (), scores),
        Section("ORPO against SFT then DPO in every run", (), (differences_table(views, metrics),)),
        Section("Runs", (), (_runs(views),)),
    )
    summary = (
        f"{len(views)} runs stand side by side: rows are runs, columns are arms.",
        "Each row was compared on equal terms in itself; between rows model, data and seeds differ.",
        "Intervals are those of each run; nothing is averaged over runs.",
    )
    return Report("Several runs", summary, sections, _data(views))


def _label(view: ComparisonView) -> tuple[Cell, ...]:
    spec = view.record.plan.spec
    seeds = ", ".join(map(str, view.seeds))
    pairs = "" if view.replayed else f" ({view.prepared.train_pairs:,} pairs)"
    data = f"{view.source}{pairs}"
    return (Cell(str(spec.get("model", "replayed"))), Cell(data), Cell(seeds))


LABELS = ("model", "data", "seeds")


def _costs(views: Sequence[ComparisonView], arms: Sequence[str]) -> list[Table]:
    found = [_ratios(views, arms, "wall_seconds", "time"), _ratios(views, arms, "flops", "FLOPs")]
    kinds: tuple[tuple[str, str, CellKind], ...] = (
        ("wall_seconds", "Training time", "seconds"),
        ("peak_memory_bytes", "Peak memory", "bytes"),
        ("flops", "Training FLOPs", "flops"),
    )
    alike = same_device(views)
    for quantity, title, kind in kinds:
        timed = quantity != "flops"
        rows = []
        for view in views:
            cells = [
                _cost(view, arm, quantity, kind)
                if alike or not timed
                else Cell(None, reason="the runs are of different devices or installations")
                for arm in arms
            ]
            rows.append((*_label(view), *cells))
        found.append(Table(f"runs_{quantity}", title, (*LABELS, *arms), tuple(rows)))
    return found


def _cost(view: ComparisonView, arm: str, quantity: str, kind: CellKind) -> Cell:
    if arm not in view.arms or view.replayed:
        return Cell(None, reason=f"{arm} was not trained in every run")
    cost = arm_cost(view, arm, quantity)
    return Cell(cost.value, kind, reason=cost.reason, sources=cost.sources)


def _ratios(views: Sequence[ComparisonView], arms: Sequence[str], quantity: str, name: str) -> Table:
    rows = []
    for view in views:
        cells = []
        for arm in arms:
            if view.replayed or not {arm, view.cost_reference} <= set(view.arms):
                cells.append(Cell(None, reason=f"{arm} or the arm it is held against is not in every run"))
                continue
            ratio = cost_ratio(view, arm, view.cost_reference, quantity)
            sources = arm_cost(view, arm, quantity).sources
            cells.append(estimate_cell(ratio, sources, "percent", 1))
        rows.append((*_label(view), *cells))
    title = f"Relative {name}, of {views[0].cost_reference}"
    return Table(f"runs_relative_{quantity}", title, (*LABELS, *arms), tuple(rows))


def _scores(views: Sequence[ComparisonView], arms: Sequence[str], metric: str) -> Table:
    rows = []
    for view in views:
        cells = [
            score_cell(view, arm, metric)
            if arm in view.arms and metric in view.metrics()
            else Cell(None, reason=f"{arm} has no {metric} in every run")
            for arm in arms
        ]
        rows.append((*_label(view), *cells))
    name = "".join(c if c.isalnum() else "_" for c in metric)
    return Table(f"runs_{name}", metric, (*LABELS, *arms), tuple(rows))


def differences_table(views: Sequence[ComparisonView], metrics: Sequence[str]) -> Table:
    """A row a quantity and run; the note counts in how many runs each verdict was reached."""
    rows, counts = [], dict[str, dict[str, int]]()
    for quantity in (*metrics, "cost.wall_seconds", "cost.flops"):
        for view in views:
            if not {A, B} <= set(view.arms):
                continue
            if quantity.startswith("cost."):
                one = None if view.replayed else cost_evidence(view, quantity.removeprefix("cost."), A, B)
            else:
                one = None if view.random_weights else score_evidence(view, quantity, A, B)
            if one is None or one.estimate.value is None:
                continue
            value = one.estimate
            word = one.verdict.partition(" at n")[0]
            tally = counts.setdefault(quantity, {})
            tally[word] = tally.get(word, 0) + 1
            shown = estimate_cell(value, one.sources)
            rows.append((Cell(quantity), *_label(view), shown, Cell(one.verdict)))
    told = "; ".join(
        f"{quantity}: " + ", ".join(f"{n} {word}" for word, n in tally.items())
        for quantity, tally in counts.items()
    )
    columns = ("quantity", *LABELS, f"{A} against {B}", f"verdict on {A}")
    return Table("runs_differences", "Differences by run", columns, tuple(rows), (f"Counts: {told}.",))


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
    runs = {view.record.id: comparison_data(view, all_evidence(view)) for view in views}
    stages = {d: s for data in runs.values() for d, s in data["provenance"]["stages"].items()}
    return {
        "schema_version": 1,
        "runs": runs,
        "provenance": {"run_id": ", ".join(runs), "stages": stages},
    }
