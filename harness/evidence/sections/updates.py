"""How far training moved the weights, and how much of it rounding took."""

from __future__ import annotations

from harness.evidence.arms import method_title
from harness.evidence.findings import Findings
from harness.evidence.view import ComparisonView
from harness.records import StageResult, TrainFacts, UpdateFacts
from harness.tables import Cell, Section, Table

BFLOAT16 = "bfloat16"


def section(findings: Findings) -> Section | None:
    """None where no stage recorded its updates."""
    table = updates_table(findings.view)
    frozen = rounding(findings.view)
    return Section("How far the weights moved", (frozen,) if frozen else (), (table,)) if table.rows else None


def updates_table(view: ComparisonView) -> Table:
    """One row a training stage that recorded its updates."""
    columns = (
        "stage",
        "precision",
        "learning rate",
        "weights that changed",
        "change / weights (norms)",
        "updates a bfloat16 copy would lose",
    )
    rows = tuple(_row(stage) for stage in view.trained_stages if _updates(stage) is not None)
    note = (
        "Changed: share of the trained weights that differ at all from those the stage began with. Lost: "
        "share of single updates, over a sample of weights and steps, that a weight held in bfloat16 rounds "
        "away (it has 8 bits, so an update below 1/512 of a weight)."
    )
    return Table("updates", "How far the weights moved", columns, rows, (note,))


def changed_in_bfloat16(view: ComparisonView) -> dict[str, float]:
    """By method, the mean share of changed weights of stages that held and rounded them in bfloat16."""
    shares: dict[str, list[float]] = {}
    for stage in view.trained_stages:
        updates = _updates(stage)
        if updates is not None and stage.facts_as(TrainFacts).precision == BFLOAT16:
            shares.setdefault(method_title(view, stage), []).append(updates.moved_share)
    return {title: sum(each) / len(each) for title, each in shares.items()}


def rounding(view: ComparisonView) -> str:
    """One sentence where weights were held in bfloat16 and rounded to nearest; empty elsewhere."""
    shares = changed_in_bfloat16(view)
    if not shares:
        return ""
    listed = ", ".join(f"{title} {share:.2%}" for title, share in shares.items())
    return (
        "Weights were held in bfloat16, where rounding swallows small updates: of the trained weights "
        f"changed at all {listed}. A difference between methods is a difference of rounding too; "
        "precision: mixed has none of it."
    )


def _updates(stage: StageResult) -> UpdateFacts | None:
    return stage.facts_as(TrainFacts).updates


def _row(stage: StageResult) -> tuple[Cell, ...]:
    facts, source = stage.facts_as(TrainFacts), (stage.digest,)
    updates = facts.updates
    assert updates is not None
    lost = "the weights are held in bfloat16 themselves" if facts.dtype == BFLOAT16 else "nothing moved"
    return (
        Cell(stage.name, sources=source),
        Cell(facts.precision or str(facts.dtype)),
        Cell(f"{facts.learning_rate:g}" if facts.learning_rate is not None else None, reason="not recorded"),
        Cell(updates.moved_share, "percent", digits=2, sources=source),
        Cell(updates.relative_norm, "percent", digits=4, reason="the weights began at zero", sources=source),
        Cell(updates.lost_to_bfloat16, "percent", digits=1, reason=lost, sources=source),
    )
