"""Win rates were both answers equally long: what the data say of it, and how far they reach."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean

from harness.evidence.cells import estimate_cell
from harness.evidence.sections.judging import LENGTH
from harness.evidence.statistics.estimate import ITEMS_TARGET, Estimate, mean_interval
from harness.evidence.statistics.length_control import Support, length_controlled, support
from harness.evidence.view import ComparisonView, ItemTable
from harness.quantities import WIN_RATE, is_win_rate
from harness.tables import Cell, Table

COMPUTED = "alpaca_eval's length_controlled_winrate, computed from these judgments"
COLUMNS = (
    "metric",
    "arm",
    "raw",
    "length-controlled",
    "AlpacaEval's own",
    "longer",
    "shorter",
    "about equal",
    "prompts",
    "against",
)


def length_table(view: ComparisonView) -> Table | None:
    """Raw and length-controlled win rates of every arm; None where no judged score kept lengths."""
    candidates = (_row(view, arm, metric) for metric in view.metrics() for arm in view.arms)
    rows = tuple(row for row in candidates if row is not None)
    if not rows:
        return None
    notes = (
        "Length-controlled: logistic model of the win on the tanh of the scaled difference in characters, at "
        "a difference of zero (Dubois et al. 2024), without instruction difficulty, so not the "
        "leaderboard's figure. Left out where under 5% of the answers are no longer (or no shorter) than the "
        "rival's, or under 10% about as long: there the curve's shape would decide and not the data. One "
        "seed: 95% interval of a score test; several: t interval over seeds.",
        "Longer, shorter: share of the arm's answers that are, in characters. About equal: within half a "
        "standard deviation of the differences around zero.",
        *_origins(view),
    )
    return Table("length_control", "Length-controlled win rates", COLUMNS, rows, notes)


def _row(view: ComparisonView, arm: str, metric: str) -> tuple[Cell, ...] | None:
    if not is_win_rate(metric):
        return None
    benchmark, _, name = metric.rpartition(".")
    judged = _judged(view, arm, metric, f"{benchmark}.{LENGTH}{name.removeprefix(WIN_RATE)}")
    if not judged:
        return None
    raw = mean_interval(view.item_means(arm, metric), ITEMS_TARGET)
    sources = view.score_sources(arm, metric)
    supports = [support({item: lengths[item] for item in wins}) for wins, lengths in judged]
    return (
        Cell(metric),
        Cell(arm),
        estimate_cell(raw, sources, "percent", 2),
        estimate_cell(_controlled(judged, view.clusters_of(metric)), sources, "percent", 2),
        _official(view, arm, metric),
        *_support_cells(supports, sources),
        Cell(min(one.items for one in supports), "count", sources=sources),
        Cell(view.rival_of(metric) or "none"),
    )


def _judged(view: ComparisonView, arm: str, metric: str, lengths: str) -> list[tuple[ItemTable, ItemTable]]:
    """Wins and differences of length of every seed that has both, on the items that have both."""
    tables = [view.items.get(f"{arm}@{cell.seed}", {}) for cell in view.cells_of(arm)]
    pairs = [(table.get(metric, {}), table.get(lengths, {})) for table in tables]
    return [
        ({i: w for i, w in wins.items() if i in known}, known)
        for wins, known in pairs
        if wins.keys() & known.keys()
    ]


def _controlled(judged: Sequence[tuple[ItemTable, ItemTable]], clusters: dict[str, str]) -> Estimate:
    """At one seed with its own interval; over seeds the mean of theirs, absent where one is."""
    per_seed = [
        length_controlled(wins, lengths, clusters=clusters, interval=len(judged) == 1)
        for wins, lengths in judged
    ]
    lacking = next((one for one in per_seed if one.value is None), None)
    if lacking is not None or len(per_seed) == 1:
        return lacking or per_seed[0]
    return mean_interval([one.value for one in per_seed if one.value is not None], ITEMS_TARGET)


def _support_cells(supports: Sequence[Support], sources: tuple[str, ...]) -> list[Cell]:
    """Mean over seeds of the three shares."""
    shares = zip(*((one.longer, one.shorter, one.near) for one in supports), strict=True)
    return [Cell(fmean(share), "percent", digits=1, sources=sources) for share in shares]


def _official(view: ComparisonView, arm: str, metric: str) -> Cell:
    """Mean over seeds of AlpacaEval's own length-controlled rate, or why there is none."""
    known = [view.written[f"{arm}@{cell.seed}", metric][1].settings for cell in view.cells_of(arm)]
    values = [k["official_lc_win_rate"] for k in known if k.get("official_lc_win_rate") is not None]
    if not values or len(values) < len(known):
        reason = next((k["official_lc_reason"] for k in known if k.get("official_lc_reason")), None)
        return Cell(None, reason=reason or "the prompts are not AlpacaEval's")
    sources = view.score_sources(arm, metric)
    return Cell(fmean(values), "percent", digits=2, sources=sources)


def _origins(view: ComparisonView) -> tuple[str, ...]:
    """Where AlpacaEval's own figures come from, each origin once."""
    origins = dict.fromkeys(
        str(score.settings.get("official_lc_origin") or COMPUTED)
        for _, score in view.written.values()
        if score.settings.get("official_lc_win_rate") is not None
    )
    if not origins:
        return ()
    caution = (
        "alpaca_eval gives no sampling error for it, and it reaches beyond the data where ours is left out."
    )
    return (f"AlpacaEval's own: {'; '.join(origins)}; {caution}",)
