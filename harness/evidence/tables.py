"""The report's tables, from a view and what was computed of it."""

from __future__ import annotations

from collections.abc import Sequence

from harness.evidence.costs import arm_cost, memory_kind
from harness.evidence.estimate import ITEMS_TARGET
from harness.evidence.pairs import Evidence
from harness.evidence.scores import arm_score
from harness.evidence.verdict import is_separable
from harness.evidence.view import ComparisonView
from harness.records import StageResult
from harness.tables import Cell, CellKind, Table

NOT_MEASURED = "not measured"
WIN_RATE = "alpaca_eval.win_rate"


def memory_name(view: ComparisonView) -> str:
    """VRAM only where it is."""
    return "peak VRAM" if memory_kind(view) == "cuda_allocated" else "peak host memory"


def main_table(view: ComparisonView) -> Table:
    """One row an arm: what it is, what it costs, what it reaches."""
    columns = (
        "method",
        "stages",
        "training time",
        memory_name(view),
        "FLOPs",
        "win rate",
        "helpfulness",
        "relative cost",
    )
    rows = []
    notes = [
        "Training time: from model load to the final checkpoint, summed over stages; mean of "
        f"{len(view.seeds)} seed(s). Relative cost: training time over that of "
        f"{view.cost_reference}. Win rate: against {view.baseline}, 50% = equal.",
        "Helpfulness is not measured without a grader.",
    ]
    for arm in view.arms:
        seconds = arm_cost(view, arm, "wall_seconds")
        names = [s.name.split("/")[1].split("@")[0] for s in view.stages_of(view.cells_of(arm)[0])]
        rows.append(
            (
                Cell(arm),
                Cell(" then ".join(names)),
                _cost_cell(view, arm, "wall_seconds", "seconds"),
                _cost_cell(view, arm, "peak_memory_bytes", "bytes"),
                _cost_cell(view, arm, "flops", "flops"),
                _of_arm(view, arm, WIN_RATE),
                Cell(None, reason="no grader"),
                _relative(view, arm, seconds.sources),
            )
        )
    return Table("main", "What each method costs and reaches", columns, tuple(rows), tuple(notes))


def _cost_cell(view: ComparisonView, arm: str, quantity: str, kind: CellKind) -> Cell:
    cost = arm_cost(view, arm, quantity)
    return Cell(cost.value, kind, reason=cost.reason, sources=cost.sources)


def _relative(view: ComparisonView, arm: str, sources: tuple[str, ...]) -> Cell:
    if view.cost_reference not in view.arms:
        return Cell(None, reason=f"{view.cost_reference} is not in this comparison")
    own = arm_cost(view, arm, "wall_seconds").value
    whole = arm_cost(view, view.cost_reference, "wall_seconds").value
    if own is None or not whole:
        return Cell(None, reason="no training time")
    return Cell(own / whole, "percent", digits=1, sources=sources)


def _of_arm(view: ComparisonView, arm: str, metric: str) -> Cell:
    """The arm's score; against itself the baseline wins half by definition."""
    if metric == WIN_RATE and arm == view.baseline and WIN_RATE in view.metrics():
        return Cell(0.5, "percent", digits=1, reason="by definition")
    return score_cell(view, arm, metric)


def score_cell(view: ComparisonView, arm: str, metric: str) -> Cell:
    """The arm's score with its interval, or why there is none."""
    if view.random_weights:
        return Cell(None, reason="training began from random weights")
    estimate = arm_score(view, arm, metric)
    sources = tuple(c.evaluate for c in view.cells_of(arm) if c.evaluate)
    if estimate.value is None:
        return Cell(None, reason=f"{metric} was not scored", sources=sources)
    kind: CellKind = "percent" if is_share(metric) else "number"
    digits = 1 if is_share(metric) else 3
    return Cell(estimate.value, kind, estimate.low, estimate.high, digits, sources=sources)


def is_share(metric: str) -> bool:
    """Whether a metric is a share of items, shown in percent."""
    name = metric.rpartition(".")[2]
    return name in ("accuracy", "acc", "acc_norm", "exact_match", "pass", "grade") or name.startswith(
        "win_rate"
    )


def score_table(view: ComparisonView, evidence: Sequence[Evidence]) -> Table:
    """One row a metric, one column an arm; bold where the arm beats every other one separably."""
    columns = ("benchmark", "metric", "base model", *view.arms)
    rows = []
    for metric in view.metrics():
        benchmark, _, name = metric.rpartition(".")
        base = view.items.get("base", {}).get(metric)
        base_cell = Cell(None, reason="not scored")
        if base and not view.random_weights:
            kind: CellKind = "percent" if is_share(metric) else "number"
            base_cell = Cell(
                sum(base.values()) / len(base),
                kind,
                digits=1 if is_share(metric) else 3,
                sources=(view.record.plan.base_evaluate or "",),
            )
        cells = [
            _bold_if_best(_of_arm(view, arm, metric), arm, metric, view.arms, evidence) for arm in view.arms
        ]
        rows.append((Cell(benchmark), Cell(name), base_cell, *cells))
    note = (
        f"Mean over {len(view.seeds)} seeds with a 95% t interval over seeds: {ITEMS_TARGET}."
        if len(view.seeds) > 1
        else "One seed: intervals are Wilson's over items, for shares of right items alone."
    )
    return Table(
        "scores", "Scores", columns, tuple(rows), (note, "Bold: separably better than every other arm.")
    )


def _bold_if_best(
    cell: Cell, arm: str, metric: str, arms: Sequence[str], evidence: Sequence[Evidence]
) -> Cell:
    verdicts = {(e.a, e.b): e.verdict for e in evidence if e.quantity == metric}
    wins = [
        verdicts.get((arm, other)) == "better" or verdicts.get((other, arm)) == "worse"
        for other in arms
        if other != arm
    ]
    return Cell(**{**cell.__dict__, "bold": bool(wins) and all(wins)})


def evidence_table(evidence: Sequence[Evidence], arms: Sequence[str]) -> Table:
    """Every paired estimate of arm against arm."""
    columns = ("quantity", "a", "b", "a against b", "p", "n", "verdict on a", "about")
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
                Cell(e.quantity),
                Cell(e.a),
                Cell(e.b),
                Cell(value.value, "number", value.low, value.high, 3, bold, value.reason, e.sources),
                Cell(value.p, "number", digits=4, reason="no test"),
                Cell(value.n, "count"),
                Cell(e.verdict),
                Cell(value.target or NOT_MEASURED),
            )
        )
    return Table(
        "evidence",
        "Arm against arm",
        columns,
        tuple(rows),
        (
            "Scores: difference a - b. Costs: ratio a / b, geometric mean over seeds. Intervals: 95%. "
            "Nothing here was registered before the run, so all of it is exploratory.",
            *(f"{quantity} is not measured: {reason}." for quantity, reason in absent.items()),
        ),
    )


PHASES = (
    "start_up_seconds",
    "model_load_seconds",
    "reference_seconds",
    "train_seconds",
    "save_seconds",
    "evaluation_seconds",
    "wall_seconds",
)


def ledger_table(view: ComparisonView) -> Table:
    """One row a training stage, in the order they ran."""
    columns = (
        "stage",
        "start-up",
        "load",
        "reference",
        "train",
        "save",
        "evaluation",
        "headline",
        memory_name(view),
        "FLOPs",
        "energy",
        "steps",
        "pairs",
        "tokens",
        "padded tokens",
        "origin",
    )
    rows = []
    for digest in view.record.plan.order:
        stage = view.record.results.get(digest)
        if stage is None or stage.kind != "train":
            continue
        use = view.record.uses[digest]
        cells = sum(digest in cell.stages for cell in view.record.plan.cells)
        origin = f"reused from {use.reused_from}" if use.reused_from else "this run"
        origin += f", shared by {cells} arms" if cells > 1 else ""
        rows.append(
            (
                Cell(stage.name, sources=(digest,)),
                *(_measured(stage, q, "seconds", digest) for q in PHASES),
                _measured(stage, "peak_memory_bytes", "bytes", digest),
                _measured(stage, "flops", "flops", digest),
                _measured(stage, "energy_joules", "joules", digest),
                *(
                    _measured(stage, q, "count", digest)
                    for q in ("steps", "pairs", "tokens_real", "tokens_padded")
                ),
                Cell(origin),
            )
        )
    note = (
        "Headline = load + reference + train + save. Start-up (imports) and in-training "
        "evaluation are not part of it."
    )
    return Table("ledger", "What each stage cost", columns, tuple(rows), (note,))


def _measured(stage: StageResult, quantity: str, kind: CellKind, digest: str) -> Cell:
    measured = stage.measured(quantity)
    if measured is None:
        return Cell(None, kind, reason=f"no {quantity} in this stage", sources=(digest,))
    return Cell(measured.value, kind, reason=measured.reason, sources=(digest,))


def flops_table(view: ComparisonView) -> Table:
    """Counted against theory, stage by stage, at the first seed."""
    columns = (
        "stage",
        "sequences forwarded per pair",
        "reference",
        "counted",
        "theory",
        "counted / theory",
        "unknown operations",
    )
    rows = []
    seen: set[str] = set()
    for arm in view.arms:
        for digest in view.cells_of(arm)[0].stages:
            if digest in seen:
                continue
            seen.add(digest)
            stage = view.record.results[digest]
            counted, theory = stage.measured("flops"), stage.measured("flops_theory")
            ratio = Cell(None, reason=theory.reason if theory else "no theory")
            if counted and counted.value and theory and theory.value:
                ratio = Cell(counted.value / theory.value, "number", digits=4, sources=(digest,))
            unknown = stage.facts.get("flops_unknown_ops") or []
            rows.append(
                (
                    Cell(stage.name, sources=(digest,)),
                    Cell(stage.facts.get("sequences_forwarded_per_pair"), "count", reason="not recorded"),
                    Cell(stage.facts.get("reference") or "none"),
                    _measured(stage, "flops", "flops", digest),
                    _measured(stage, "flops_theory", "flops", digest),
                    ratio,
                    Cell(", ".join(unknown) or "none"),
                )
            )
    return Table("flops", "FLOPs: counted against theory", columns, tuple(rows), tuple(_ratio_notes(view)))


def _ratio_notes(view: ComparisonView) -> list[str]:
    notes = ["Theory: weights, attention and head as in docs/design.md; padded tokens count."]
    costs = {arm: arm_cost(view, arm, "flops").value for arm in view.arms}
    orpo, both = costs.get("orpo"), costs.get("sft_dpo")
    if orpo and both:
        notes.append(
            f"ORPO / (SFT + DPO) = {orpo / both:.3f} of all FLOPs; one epoch each and equal "
            "lengths give 0.545 (full) or 0.500 (LoRA) of the bodies' FLOPs."
        )
    cells = view.cells_of("sft_dpo")[:1] if "sft_dpo" in view.arms else []
    dpo = view.stages_of(cells[0])[-1].measured("flops") if cells else None
    own = view.stages_of(view.cells_of("orpo")[0])[0].measured("flops") if "orpo" in view.arms else None
    if dpo and dpo.value and own and own.value:
        notes.append(
            f"ORPO / DPO = {own.value / dpo.value:.3f} of all FLOPs at the first seed; the "
            "bodies' share in theory: 0.75 (full), 0.67 (LoRA), 1.0 with a precomputed reference."
        )
    return notes


def parity_table(view: ComparisonView) -> Table:
    """What was equal across arms and what was not."""
    words = {True: "equal", False: "NOT equal", None: "unknown"}
    rows = tuple(
        (Cell(c.check), Cell(words[c.equal], bold=c.equal is False), Cell(c.detail))
        for c in view.record.parity
    )
    return Table("parity", "Parity across arms", ("check", "result", "detail"), rows)


def data_table(view: ComparisonView) -> Table:
    """Numbers of the data set, both splits."""
    statistics = view.prepared["statistics"]
    rows = []
    for split in ("train", "test"):
        part = statistics[split]
        lengths = [part[f"{name}_tokens"] or {} for name in ("prompt", "chosen", "rejected")]
        rows.append(
            (
                Cell(split),
                Cell(part["pairs_read"], "count"),
                Cell(part["pairs_kept"], "count"),
                Cell(part["truncated"], "count"),
                Cell(", ".join(f"{n} {reason}" for reason, n in part["dropped"].items()) or "none"),
                Cell(part["duplicate_pairs"], "count"),
                *(
                    Cell(f"{q['median']:.0f} / {q['max']:.0f}" if q else None, reason="no pairs")
                    for q in lengths
                ),
            )
        )
    columns = (
        "split",
        "pairs read",
        "kept",
        "truncated",
        "dropped",
        "duplicates",
        "prompt tokens",
        "chosen tokens",
        "rejected tokens",
    )
    overlap = statistics["test_pairs_whose_prompt_is_in_train"]
    return Table(
        "data",
        "Data",
        columns,
        tuple(rows),
        (
            f"Source: {view.prepared['source']}. Test split: {statistics['test_origin']}. "
            f"Token lengths: median / maximum. Test pairs whose prompt is in train: {overlap}.",
        ),
    )


def provenance_table(view: ComparisonView) -> Table:
    """Which stage stands behind which row, and where it ran."""
    rows = []
    for digest in view.record.plan.order:
        stage = view.record.results.get(digest)
        if stage is not None:
            rows.append(
                (
                    Cell(stage.name),
                    Cell(stage.kind),
                    Cell(digest),
                    Cell(stage.finished_at[:19] + "Z"),
                    Cell((stage.environment.git_commit or "no git checkout")[:12]),
                    Cell(stage.environment.lock_digest or "unknown"),
                )
            )
    return Table(
        "provenance",
        "Provenance",
        ("stage", "kind", "digest", "finished", "commit", "packages"),
        tuple(rows),
        (
            f"Run {view.record.id}. Each stage's folder is stages/<digest>; in CSV and "
            "JSON every figure carries its digests.",
        ),
    )
