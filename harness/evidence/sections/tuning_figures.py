"""Figures of a search: expected best against trials and costs, every trial's settings, importance."""

from __future__ import annotations

from collections.abc import Sequence

from harness.evidence.cells import score_format
from harness.evidence.sections.tuning_tables import all_sources
from harness.evidence.tuned import AXES, Place, Search, score_of, setting_of
from harness.evidence.tuned_space import Range, range_of, settings_in_words
from harness.quantities import FLOPS, WALL_SECONDS
from harness.records import TuningTrial
from harness.tables import Cell, CellKind, Figure, ForestRow, LineKind, Panel, Polyline, Series, Upright
from harness.units import plain

LABELS = {FLOPS: "FLOPs of tuning", WALL_SECONDS: "training time of tuning (s)"}


def figures(found: Sequence[Search]) -> tuple[Figure, ...]:
    """Those that have something to show."""
    scored = [one for one in found if one.scores]
    if not scored:
        return ()
    drawn = (best_figure(scored), settings_figure(scored), importance_figure(scored))
    return tuple(figure for figure in drawn if figure.has_series)


def best_figure(found: Sequence[Search]) -> Figure:
    """The expected best of k trials against k, and against what k trials take."""
    panels = [_best_panel(found, "number of trials", "trials", "count", [1.0 for _ in found])]
    for quantity in AXES:
        costs = [one.cost(quantity)[0] for one in found]
        means = [cost / len(one.trials) for one, cost in zip(found, costs, strict=True) if cost]
        if len(means) == len(found):
            panels.append(_best_panel(found, quantity.title, LABELS[quantity], quantity.kind, means))
    why = found[0].why_unsure
    bands = f"No bands: {why}" if why else "Bands: 95% intervals at each number of trials by itself"
    caption = (
        f"Mean over every choice of so many of the trials that ran. {bands}. Costs: at the mean cost of a "
        "trial of the arm."
    )
    sources = tuple(source for one in found for source in all_sources(one))
    return Figure("tuning_best_of", "Expected best of so many trials", tuple(panels), caption, sources)


def _best_panel(
    found: Sequence[Search], name: str, label: str, kind: CellKind, costs: Sequence[float]
) -> Panel:
    """One axis; `costs` are what a trial of each arm takes on it."""
    metric = found[0].tuning.metric
    series = tuple(_curve(one, cost) for one, cost in zip(found, costs, strict=True))
    shown, _ = score_format(metric)
    return Panel(f"by {name}", label, f"best {metric}", series, x_kind=kind, y_kind=shown)


def _curve(one: Search, cost: float) -> Series:
    assert one.curve is not None
    ends = [interval for k in range(1, len(one.trials) + 1) if (interval := one.curve.interval(k))]
    turned = [sorted(map(one.shown, interval)) for interval in ends]
    return Series(
        one.arm,
        tuple(k * cost for k in range(1, len(one.trials) + 1)),
        tuple(map(one.shown, one.curve.value)),
        tuple(low for low, _ in turned),
        tuple(high for _, high in turned),
    )


def settings_figure(found: Sequence[Search]) -> Figure:
    """Parallel coordinates, a panel an arm: its settings, and the score on one scale for all arms."""
    known = [score for one in found for trial in one.trials if (score := score_of(trial)) is not None]
    panels = tuple(_settings_panel(one, Range(low=min(known), high=max(known))) for one in found)
    caption = (
        "A line a trial, through what it drew to what it reached; the higher its score, the stronger the "
        "line. Scores are on one scale for all arms. Dashed: ended early."
    )
    sources = tuple(source for one in found for source in all_sources(one))
    return Figure("tuning_settings", "Settings and score of every trial", panels, caption, sources)


def _settings_panel(one: Search, scores: Range) -> Panel:
    ranges = {place: range_of(one, place) for place in one.places}
    kind, digits = score_format(one.tuning.metric)
    ends = (scores.low, scores.high) if one.tuning.higher_is_better else (scores.high, scores.low)
    marks = tuple((place, plain(Cell(end, kind, digits=digits))) for place, end in enumerate(ends))
    uprights = (
        *(Upright(".".join(place), known.marks()) for place, known in ranges.items()),
        Upright(one.tuning.metric, marks),
    )
    lines = tuple(_line(one, trial, ranges, scores) for trial in one.trials)
    return Panel(one.arm, "", "", (), kind="parallel", uprights=uprights, polylines=lines)


def _line(one: Search, trial: TuningTrial, ranges: dict[Place, Range], scores: Range) -> Polyline:
    """A trial's places; without a score the line ends at its last setting."""
    drawn = ((known, setting_of(trial, place)) for place, known in ranges.items())
    places = (None if value is None else known.place(value) for known, value in drawn)
    score = score_of(trial)
    height = None if score is None else scores.place(score)
    if height is not None and not one.tuning.higher_is_better:
        height = 1 - height
    return Polyline(_told(one, trial), (*places, height), _kind(one, trial))


def _kind(one: Search, trial: TuningTrial) -> LineKind:
    if score_of(trial) is None:
        return "no score"
    if trial == one.chosen:
        return "chosen"
    return "finished" if trial.pruned_at is None else "ended early"


def _told(one: Search, trial: TuningTrial) -> str:
    """A trial in words, for who points at it."""
    kind, digits = score_format(one.tuning.metric)
    score = score_of(trial)
    reached = "no score" if score is None else plain(Cell(score, kind, digits=digits))
    return f"{one.arm} {trial.number}: {settings_in_words(one, trial)}; {one.tuning.metric} {reached}"


def importance_figure(found: Sequence[Search]) -> Figure:
    """A dot a setting of an arm, the most important first; those that were not measured are left out."""
    known = [
        (f"{one.arm}: {'.'.join(place)}", share.share)
        for one in found
        for place, share in one.importance.items()
        if share.share is not None
    ]
    rows = tuple(
        ForestRow(label, 100 * share, None, None, kind="answer")
        for label, share in sorted(known, key=lambda entry: -entry[1])
    )
    panels = (Panel("Importance", "% of the scores' ranks", "", (), kind="forest", rows=rows, digits=0),)
    caption = (
        "Share of the ranks of an arm's scores that goes with one setting alone; what settings do together "
        "is in none."
    )
    sources = tuple(source for one in found for source in all_sources(one))
    return Figure("tuning_importance", "Which settings matter", panels if rows else (), caption, sources)
