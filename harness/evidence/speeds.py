"""How fast an export answers and how much memory it holds, beside whole weights of the same training."""

from __future__ import annotations

from statistics import median

from harness.evidence.cells import estimate_cell
from harness.evidence.statistics.estimate import log_ratio
from harness.records import Speed, SpeedFacts
from harness.tables import Cell, Table

COLUMNS = (
    "weights",
    "in memory",
    "batch",
    "first token",
    "later token",
    "tokens/s",
    "of whole weights' tokens/s",
)
WHOLE = "whole"


def speed_table(facts: SpeedFacts, device: str, digest: str) -> Table:
    """A row a batch size of the export, and of the whole weights that took turns with it."""
    beside = {one.batch: one for one in facts.whole}
    rows = [row for one in facts.exported for row in _rows(facts, one, beside.get(one.batch), digest)]
    repeats = len(facts.exported[0].first_token)
    note = (
        f"On {device}, by transformers: prompts of {facts.prompt_tokens} tokens, answers of "
        f"{facts.new_tokens}, greedy; medians of {repeats} repeats after one that warms up, in turns. "
        "Tokens/s: new tokens of the whole batch by the seconds of prompt and answer. The ratio has its 95% "
        "interval over the repeats, on this machine at this time. Other programs answer faster or slower "
        "from the same file: transformers computes GGUF in the dtype to which it widens weights."
    )
    return Table("speed", "How fast the export answers", COLUMNS, tuple(rows), (note,))


def _rows(facts: SpeedFacts, mine: Speed, theirs: Speed | None, digest: str) -> list[tuple[Cell, ...]]:
    none = Cell(None, applies=False)
    if theirs is None:
        return [_row(facts, facts.form, facts.bytes, mine, none, digest)]
    ratio = log_ratio(rates(facts, mine), rates(facts, theirs))
    beside = estimate_cell(ratio, (digest,), "percent", digits=1)
    return [
        _row(facts, WHOLE, facts.whole_bytes, theirs, none, digest),
        _row(facts, facts.form, facts.bytes, mine, beside, digest),
    ]


def _row(
    facts: SpeedFacts, name: str, size: int | None, one: Speed, ratio: Cell, digest: str
) -> tuple[Cell, ...]:
    sources = (digest,)
    return (
        Cell(name),
        Cell(size, "bytes", sources=sources),
        Cell(one.batch, "count"),
        Cell(median(one.first_token), "seconds", sources=sources),
        Cell(median(one.later_token), "seconds", sources=sources),
        Cell(median(rates(facts, one)), "number", digits=1, sources=sources),
        ratio,
    )


def rates(facts: SpeedFacts, one: Speed) -> list[float]:
    """New tokens a second of the whole batch, a repeat an entry."""
    later = facts.new_tokens - 1
    return [
        one.batch * facts.new_tokens / (first + later * each)
        for first, each in zip(one.first_token, one.later_token, strict=True)
    ]
