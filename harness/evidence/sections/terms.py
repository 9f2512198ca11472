"""On what terms arms met: the audit's checks, and the pairs that all trained on."""

from __future__ import annotations

from collections import Counter

from harness.evidence.findings import Findings
from harness.evidence.view import ComparisonView
from harness.records import PrepareFacts, SplitStatistics
from harness.tables import Cell, Section, Table

WORDS = {True: "equal", False: "NOT equal", None: "unknown"}


def parity_section(findings: Findings) -> Section:
    """The audit's checks."""
    counts = Counter(WORDS[check.equal] for check in findings.view.record.parity)
    teaser = ", ".join(f"{counts[word]} {word}" for word in WORDS.values() if counts[word])
    return Section("Parity", (), (parity_table(findings.view),), teaser=f"Parity: {teaser}" if teaser else "")


def data_section(findings: Findings) -> Section:
    """The data set's numbers."""
    return Section("Data", (), (data_table(findings.view),))


def parity_table(view: ComparisonView) -> Table:
    """What was equal across arms and what was not."""
    rows = tuple(
        (Cell(c.check), Cell(WORDS[c.equal], bold=c.equal is False), Cell(c.detail))
        for c in view.record.parity
    )
    return Table("parity", "Parity across arms", ("check", "result", "detail"), rows)


def data_table(view: ComparisonView) -> Table:
    """Numbers of the data set, both splits."""
    statistics = view.prepared.statistics
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
    splits = {"train": statistics.train, "validation": statistics.validation, "test": statistics.test}
    rows = tuple(_split(name, part) for name, part in splits.items() if part is not None)
    note = (
        f"Source: {view.source}. Test split: {statistics.test_origin}. "
        "Token lengths: median / maximum. Test pairs whose prompt is in train: "
        f"{statistics.test_pairs_whose_prompt_is_in_train} "
        f"({statistics.test_pairs_dropped_for_a_prompt_in_train or 0} were dropped)."
    )
    return Table("data", "Data", columns, rows, (note, *_more_notes(view.prepared)))


def _more_notes(prepared: PrepareFacts) -> tuple[str, ...]:
    """What early stopping selected on, where rows were left out, and the date that templates wrote."""
    statistics = prepared.statistics
    notes = []
    if statistics.validation is not None:
        known = statistics.validation_pairs_dropped_for_a_known_prompt or 0
        notes.append(
            f"Early stopping selects on the validation split ({statistics.validation_origin}), which no arm "
            f"trains on and no benchmark scores; {known} of its pairs were dropped because their prompt "
            "stands in another split."
        )
    places = [*statistics.train.first_diverging, *statistics.test.first_diverging]
    if places:
        notes.append(f"Rows in which chosen and rejected share no prompt were left out; first: {places[0]}.")
    if prepared.template_date is not None:
        notes.append(f"The chat template writes today's date; here it is {prepared.template_date} always.")
    return tuple(notes)


def _split(name: str, part: SplitStatistics) -> tuple[Cell, ...]:
    lengths = (part.prompt_tokens, part.chosen_tokens, part.rejected_tokens)
    return (
        Cell(name),
        Cell(part.pairs_read, "count"),
        Cell(part.pairs_kept, "count"),
        Cell(part.truncated, "count"),
        Cell(", ".join(f"{n} {reason}" for reason, n in _dropped(part).items()) or "none"),
        Cell(part.duplicate_pairs, "count"),
        *(Cell(f"{q.median:.0f} / {q.max:.0f}" if q else None, reason="no pairs") for q in lengths),
    )


def _dropped(part: SplitStatistics) -> dict[str, int]:
    """Why pairs were dropped, rows that were left out before they were pairs among them."""
    left_out = {"rows without a shared prompt": part.diverging_rows} if part.diverging_rows else {}
    return {**left_out, **part.dropped}
