"""What each stage cost: the ledger, and counted FLOPs beside theory."""

from __future__ import annotations

from harness.evidence.costs import memory_kind, memory_name
from harness.evidence.sections.reference import reference_mode
from harness.evidence.view import ComparisonView
from harness.records import EvaluateFacts, StageResult, TrainFacts
from harness.tables import Cell, CellKind, Table

THEORY = "Theory: weights, attention and head as in docs/design.md; padded tokens count."
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
    """One row a training stage, in the order they ran; on CPU also the growth above imports."""
    on_host = memory_kind(view) == "host_rss"
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
        *(["above imports"] if on_host else []),
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
                *([_measured(stage, "host_growth_bytes", "bytes", digest)] if on_host else []),
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
            facts = stage.facts_as(TrainFacts)
            forwarded = facts.sequences.forwarded_per_pair if facts.sequences else None
            rows.append(
                (
                    Cell(stage.name, sources=(digest,)),
                    Cell(forwarded, "count", reason="not recorded"),
                    Cell(reference_mode(facts)),
                    _measured(stage, "flops", "flops", digest),
                    _measured(stage, "flops_theory", "flops", digest),
                    ratio,
                    Cell(", ".join(facts.flops_unknown_ops) or "none"),
                )
            )
    return Table("flops", "FLOPs: counted against theory", columns, tuple(rows), (THEORY,))


def scoring_table(view: ComparisonView) -> Table:
    """What answering and scoring took, a row a cell; no arm is charged for it."""
    columns = ("cell", "answers", "generation", "FLOPs of generation", "scoring", "FLOPs of scoring")
    rows = []
    for digest in view.record.plan.order:
        stage = view.record.results.get(digest)
        if stage is None or stage.kind != "evaluate" or stage.measured("scoring_flops") is None:
            continue
        quantities: tuple[tuple[str, CellKind], ...] = (
            ("generation_seconds", "seconds"),
            ("generation_flops", "flops"),
            ("scoring_seconds", "seconds"),
            ("scoring_flops", "flops"),
        )
        answers = Cell(stage.facts_as(EvaluateFacts).answers, "count", reason="not recorded")
        cells = (_measured(stage, quantity, kind, digest) for quantity, kind in quantities)
        rows.append((Cell(stage.name, sources=(digest,)), answers, *cells))
    note = "FLOPs of these forward passes by formula over what hooks saw; part of no arm's cost."
    return Table("scoring", "What answering and scoring took", columns, tuple(rows), (note,))
