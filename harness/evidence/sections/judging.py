"""What judges said of themselves: orders, flips, slots, failures, money; and length-controlled rates."""

from __future__ import annotations

from harness.evidence.cells import estimate_cell
from harness.evidence.statistics.estimate import ITEMS_TARGET, Estimate, mean_interval
from harness.evidence.statistics.length_control import length_controlled
from harness.evidence.view import ComparisonView
from harness.quantities import WIN_RATE, is_win_rate
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


def length_table(view: ComparisonView) -> Table | None:
    """Raw and length-controlled win rates of every arm; None where no judged score kept lengths."""
    candidates = (_length_row(view, arm, metric) for metric in view.metrics() for arm in view.arms)
    rows = tuple(row for row in candidates if row is not None)
    if not rows:
        return None
    note = (
        "Logistic model of the win on the tanh of the scaled difference in characters, at a difference of "
        "zero (Dubois et al. 2024) without instruction difficulty, so not the leaderboard's figure. One "
        "seed: 95% interval of a bootstrap over prompts with refit; several: t interval over seeds. "
        "AlpacaEval's own: alpaca_eval's length_controlled_winrate, which is defined for its 805 prompts."
    )
    columns = ("metric", "arm", "raw", "length-controlled", "AlpacaEval's own", "prompts", "against")
    return Table("length_control", "Length-controlled win rates", columns, rows, (note,))


def _length_row(view: ComparisonView, arm: str, metric: str) -> tuple[Cell, ...] | None:
    if not is_win_rate(metric):
        return None
    benchmark, _, name = metric.rpartition(".")
    per_seed = _per_seed(view, arm, metric, f"{benchmark}.{LENGTH}{name.removeprefix(WIN_RATE)}")
    if not per_seed:
        return None
    raw = mean_interval(view.item_means(arm, metric), ITEMS_TARGET)
    whole = per_seed[0] if len(per_seed) == 1 else _over_seeds(per_seed)
    sources = view.score_sources(arm, metric)
    return (
        Cell(metric),
        Cell(arm),
        estimate_cell(raw, sources, "percent", 2),
        estimate_cell(whole, sources, "percent", 2),
        _official(view, arm, metric),
        Cell(per_seed[0].n, "count"),
        Cell(view.rival_of(metric) or "none"),
    )


def _official(view: ComparisonView, arm: str, metric: str) -> Cell:
    """Mean over seeds of alpaca_eval's own length-controlled rate, or why there is none."""
    known = [view.written[f"{arm}@{cell.seed}", metric][1].settings for cell in view.cells_of(arm)]
    values = [k["official_lc_win_rate"] for k in known if k.get("official_lc_win_rate") is not None]
    if not values or len(values) < len(known):
        reason = next((k["official_lc_reason"] for k in known if k.get("official_lc_reason")), None)
        return Cell(None, reason=reason or "the prompts are not AlpacaEval's")
    sources = view.score_sources(arm, metric)
    return Cell(sum(values) / len(values), "percent", digits=2, sources=sources)


def _per_seed(view: ComparisonView, arm: str, metric: str, lengths: str) -> list[Estimate]:
    tables = [view.items.get(f"{arm}@{cell.seed}", {}) for cell in view.cells_of(arm)]
    return [
        length_controlled(table[metric], table[lengths], interval=len(view.seeds) == 1)
        for table in tables
        if table.get(metric) and table.get(lengths)
    ]


def _over_seeds(per_seed: list[Estimate]) -> Estimate:
    return mean_interval([e.value for e in per_seed if e.value is not None], ITEMS_TARGET)
