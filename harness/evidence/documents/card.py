"""A model card: what the comparison found, what the export loses, where it came from, its limits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from harness.evidence.exported import Loss
from harness.evidence.sections.results import main_table
from harness.evidence.view import BASE, ComparisonView
from harness.records import ExportFacts, ExportRecord
from harness.tables import Report, Section, Table

NOT_KNOWN = "not known"


@dataclass(frozen=True)
class CardParts:
    """What a card is written from: the run's view, the export's record and facts, and what it loses,
    how fast it answers."""

    view: ComparisonView
    record: ExportRecord
    facts: ExportFacts
    found: Sequence[Loss]
    table: Table
    speeds: Table


def card_report(parts: CardParts, verdicts: Sequence[str]) -> Report:
    """The card's body; `verdicts` are the run's registered questions in words."""
    record = parts.record
    sections = (
        Section("What this is", (_what(parts), _how_chosen(parts))),
        Section("The comparison", tuple(verdicts), (main_table(parts.view),)),
        Section("What the export loses", (_lost(parts),), (parts.table,)),
        Section("How fast it answers", (), (parts.speeds,)),
        Section("Limits", _limits(parts)),
        Section("Where it comes from", _provenance(parts)),
    )
    return Report(
        title=f"{record.comparison}: {record.arm}, seed {record.seed}", summary=(), sections=sections, data={}
    )


def _what(parts: CardParts) -> str:
    record, view = parts.record, parts.view
    stages = " then ".join(view.record.plan.stages[d].config["method"] for d in _trained(parts))
    merged = ", adapters folded in" if parts.facts.merged else ""
    return (
        f"{record.model} trained by {stages} on {record.data} (arm {record.arm} of comparison "
        f"{record.comparison}), written as {parts.facts.form}{merged}: {parts.facts.bytes / 1e6:,.1f} MB."
    )


def _trained(parts: CardParts) -> list[str]:
    cells = parts.view.cells_of(parts.record.arm)
    return next(cell.stages for cell in cells if cell.seed == parts.record.seed)


def _how_chosen(parts: CardParts) -> str:
    return f"Seed {parts.record.seed} of {len(parts.view.seeds)}: {parts.record.chosen_by}."


def _lost(parts: CardParts) -> str:
    identical = [one for one in parts.found if one.contrast.estimate.identical]
    if not parts.facts.rounds and len(identical) == len(parts.found):
        return "Nothing: the export was scored like the trained weights, and every item is identical."
    return "The export was scored like the trained weights, by the same benchmarks on the same items."


def _limits(parts: CardParts) -> tuple[str, ...]:
    judged = [m for m in parts.view.metrics() if m not in {one.contrast.quantity for one in parts.found}]
    left_out = f"Not scored of the export: {', '.join(judged)}." if judged else ""
    base = "" if BASE in parts.view.items else " The model that it started from was not scored."
    return (
        "Scores speak of the comparison's own benchmarks and items. Safety, bias, other languages, long "
        f"texts and other decoding than that of the run were not looked at.{base}",
        *([left_out] if left_out else []),
        "Licence: that of the base model and of the data, not known to this tool; notices that lay in the "
        "base model's folder lie here.",
        "Behind a server it answers at other rates; `harness serve FOLDER --load` measures them.",
    )


def _provenance(parts: CardParts) -> tuple[str, ...]:
    record = parts.record
    stages = ", ".join(f"{name} {digest}" for name, digest in record.stages.items())
    return (
        f"Run {record.run}; stages {stages}; code {record.code or NOT_KNOWN}. Base model {record.model}, "
        f"revision {record.model_revision or NOT_KNOWN}. `export.json` has SHA-256 of every file.",
    )
