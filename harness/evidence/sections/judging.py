"""What judges said of themselves: orders, flips, slots, failures, money; and length-controlled rates."""

from __future__ import annotations

from harness.evidence.statistics.estimate import ITEMS_TARGET, Estimate, mean_interval
from harness.evidence.statistics.length_control import length_controlled
from harness.evidence.view import ComparisonView
from harness.tables import Cell, Table

LENGTH = "length_difference"


def judges_table(view: ComparisonView) -> Table | None:
    """One row a judged score of a cell."""
    rows = []
    told = set()
    # Where a judge could read nothing the win rate is written last; the row still bears its name.
    written = sorted(view.written.items(), key=lambda entry: LENGTH in entry[0][1])
    for (cell, metric), (digest, score) in written:
        known = score.settings
        if "judge" not in known or (digest, cell, score.items_file) in told:
            continue
        told.add((digest, cell, score.items_file))
        sources = (digest,)
        spent = known.get("money")
        rows.append(
            (
                Cell(cell),
                Cell(metric, sources=sources),
                Cell(str(known["judge"])),
                Cell(str(known.get("rival") or "none")),
                Cell(str(known.get("orders") or "one answer at a time")),
                Cell(known.get("judgments", score.n), "count", sources=sources),
                *(
                    Cell(known.get(name), "percent", reason="one order, or not recorded", sources=sources)
                    for name in ("flip_rate", "first_slot_rate")
                ),
                Cell(
                    known.get("krippendorff_alpha"), "number", digits=2, reason="one judge", sources=sources
                ),
                Cell(known.get("parse_failures"), "count", reason="not recorded", sources=sources),
                Cell(spent, "number", digits=4, reason="the judge has no price", sources=sources),
            )
        )
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
        "money",
    )
    note = (
        "Flip rate: pairs whose two orders disagree, which count half a win. First slot: share of decided "
        "judgments that took the answer in the first place; 50% is no leaning. Unreadable judgments are "
        "counted, and left out of rates. Alpha: Krippendorff's, how far the judges of a jury agree."
    )
    return Table("judges", "Judges", columns, tuple(rows), (note,))


def length_table(view: ComparisonView) -> Table | None:
    """Raw and length-controlled win rates of every arm; None where no judged score kept lengths."""
    rows = []
    for metric in view.metrics():
        benchmark, _, name = metric.rpartition(".")
        if not name.startswith("win_rate"):
            continue
        for arm in view.arms:
            per_seed = _per_seed(view, arm, metric, f"{benchmark}.{LENGTH}{name.removeprefix('win_rate')}")
            if not per_seed:
                continue
            raw = mean_interval(view.item_means(arm, metric), ITEMS_TARGET)
            whole = per_seed[0] if len(per_seed) == 1 else _over_seeds(per_seed)
            sources = view.score_sources(arm, metric)
            cell = Cell(
                whole.value, "percent", whole.low, whole.high, 2, reason=whole.reason, sources=sources
            )
            rows.append(
                (
                    Cell(metric),
                    Cell(arm),
                    Cell(raw.value, "percent", raw.low, raw.high, 2, reason=raw.reason, sources=sources),
                    cell,
                    _official(view, arm, metric),
                    Cell(per_seed[0].n, "count"),
                    Cell(view.rival_of(metric) or "none"),
                )
            )
    if not rows:
        return None
    note = (
        "Logistic model of the win on the tanh of the scaled difference in characters, at a difference of "
        "zero (Dubois et al. 2024) without instruction difficulty, so not the leaderboard's figure. One "
        "seed: 95% interval of a bootstrap over prompts with refit; several: t interval over seeds. "
        "AlpacaEval's own: alpaca_eval's length_controlled_winrate, which is defined for its 805 prompts."
    )
    columns = ("metric", "arm", "raw", "length-controlled", "AlpacaEval's own", "prompts", "against")
    return Table("length_control", "Length-controlled win rates", columns, tuple(rows), (note,))


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
    found = []
    for cell in view.cells_of(arm):
        table = view.items.get(f"{arm}@{cell.seed}", {})
        if table.get(metric) and table.get(lengths):
            found.append(length_controlled(table[metric], table[lengths], interval=len(view.seeds) == 1))
    return found


def _over_seeds(per_seed: list[Estimate]) -> Estimate:
    return mean_interval([e.value for e in per_seed if e.value is not None], ITEMS_TARGET)
