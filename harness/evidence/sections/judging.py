"""What judges said of themselves: orders, flips, slots, failures, money."""

from __future__ import annotations

from harness.evidence.view import ComparisonView
from harness.records import Score
from harness.tables import Cell, Table

LENGTH = "length_difference"


def judges_table(view: ComparisonView) -> Table | None:
    """One row a judged score of a cell."""
    rows: dict[tuple[str, str, str | None], tuple[Cell, ...]] = {}
    # Where a judge could read nothing the win rate is written last; the row still bears its name.
    written = sorted(view.written.items(), key=lambda entry: LENGTH in entry[0][1])
    for (cell, metric), (digest, score) in written:
        if "judge" in score.settings:
            rows.setdefault((digest, cell, score.items_file), _judge_row(cell, metric, digest, score))
    if not rows:
        return None
    columns = (
        "cell",
        "metric",
        "judge",
        "rival",
        "orders",
        "judgments",
        "flip rate",
        "first slot",
        "alpha",
        "unreadable",
        "half-read pairs",
        "money",
    )
    note = (
        "Flip rate: pairs whose two orders disagree, which count half a win. First slot: share of decided "
        "judgments that took the answer in the first place; 50% is no leaning. Unreadable judgments are "
        "counted, and left out of rates. Half-read pairs: one order alone could be read; they are left out "
        "too, since that order's leaning would stay in the rate. Alpha: Krippendorff's, how far a jury's "
        "judges agree on the pairs of this row, each judge's two orders averaged."
    )
    return Table("judges", "Judges", columns, tuple(rows.values()), (note,))


def _judge_row(cell: str, metric: str, digest: str, score: Score) -> tuple[Cell, ...]:
    known, sources = score.settings, (digest,)
    one_order = "one order, or not recorded"
    return (
        Cell(cell),
        Cell(metric, sources=sources),
        Cell(str(known["judge"])),
        Cell(str(known.get("rival") or "none")),
        Cell(str(known.get("orders") or "one answer at a time")),
        Cell(known.get("judgments", score.n), "count", sources=sources),
        Cell(known.get("flip_rate"), "percent", reason=one_order, sources=sources),
        Cell(known.get("first_slot_rate"), "percent", reason=one_order, sources=sources),
        Cell(known.get("krippendorff_alpha"), "number", digits=2, reason="one judge", sources=sources),
        Cell(known.get("parse_failures"), "count", reason="not recorded", sources=sources),
        Cell(known.get("half_read"), "count", reason=one_order, sources=sources),
        Cell(known.get("money"), "number", digits=4, reason="the judge has no price", sources=sources),
    )
