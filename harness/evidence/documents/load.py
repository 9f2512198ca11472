"""The document of a server's load figures."""

from __future__ import annotations

from harness.records import LoadFigure, LoadLevel, LoadRecord
from harness.tables import Cell, Report, Section, Table

COLUMNS = (
    "clients",
    "requests",
    "errors",
    "first token p50",
    "first token p95",
    "request p50",
    "request p95",
    "tokens a second",
)
FIGURES = ("first_token_p50", "first_token_p95", "request_p50", "request_p95", "tokens_per_second")


def load_table(record: LoadRecord) -> Table:
    """A row a number of clients."""
    model = record.model
    return Table(
        name="load",
        title=f"Load figures of {model.name}",
        columns=COLUMNS,
        rows=tuple(_row(level, model.stage) for level in record.levels),
        notes=_notes(record),
    )


def load_report(record: LoadRecord) -> Report:
    """The table with where it was measured."""
    section = Section(title="Load figures", paragraphs=(_where(record),), tables=(load_table(record),))
    return Report(
        title=f"{record.model.name} under load",
        summary=(_where(record),),
        sections=(section,),
        data=record.model_dump(mode="json"),
    )


def _row(level: LoadLevel, stage: str | None) -> tuple[Cell, ...]:
    sources = () if stage is None else (stage,)
    counts = (level.clients, level.requests, sum(level.errors.values()))
    return (
        *(Cell(count, "count", sources=sources) for count in counts),
        *(_cell(level.figure(name), sources) for name in FIGURES),
    )


def _cell(figure: LoadFigure, sources: tuple[str, ...]) -> Cell:
    if figure.unit == "s":
        return Cell(figure.value, "seconds", reason=figure.reason, sources=sources)
    return Cell(figure.value, "number", digits=1, reason=figure.reason, sources=sources)


def _where(record: LoadRecord) -> str:
    model, place = record.model, record.environment
    of = f"run {model.run}, arm {model.arm}, seed {model.seed}" if model.run else f"folder {model.folder}"
    threads = "its own number of" if record.threads is None else str(record.threads)
    return (
        f"{model.name} ({of}), served by {record.engine} {record.engine_version} in {record.dtype} on "
        f"{place.device_name} ({place.device}, {place.cpu_count} cores of the host, {threads} threads); load "
        f"average of the host before: {record.busy_before:.2f}."
    )


def _notes(record: LoadRecord) -> tuple[str, ...]:
    errors = {
        f"{level.clients} clients: {count} x {error}"
        for level in record.levels
        for error, count in level.errors.items()
    }
    cut = sum(level.unfinished for level in record.levels)
    again = [level for level in record.levels if level.distinct_prompts < level.requests]
    notes = [
        f"Prompts: {record.prompts:,} of {record.prompts_of}; greedy answers of at most "
        f"{record.max_tokens:,} tokens, streamed. Each client asks again as soon as it was answered.",
        "First token: from sending to the first text. Quantiles are those of answered requests by nearest "
        "rank, which are not independent of each other and so have no interval. Tokens a second: all that "
        "answers were made of, over the time from the first request to the end of the last.",
        "Before each number of clients as many requests were asked as there are clients, and are part of "
        "nothing.",
    ]
    notes += [f"Failed: {'; '.join(sorted(errors))}."] if errors else []
    notes += [f"{cut} answers were cut at the longest that they may be."] if cut else []
    if again:
        which = ", ".join(str(level.clients) for level in again)
        notes.append(f"Prompts were asked a second time at clients: {which}; a server may know them then.")
    return tuple(notes)
