"""Tables of a search: what was chosen, the expected best, importance, costs, and every trial."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from harness.evidence.cells import cost_cell, estimate_cell, score_format
from harness.evidence.statistics.importance import FEWEST_TRIALS, SHUFFLES
from harness.evidence.tuned import (
    AXES,
    POINT,
    Place,
    Search,
    score_of,
    setting_of,
    sources_of,
    taken,
)
from harness.evidence.tuned_space import EDGE, range_of, settings_in_words
from harness.evidence.view import ComparisonView
from harness.quantities import Quantity
from harness.records import TuningTrial
from harness.records.tuning import Setting
from harness.tables import About, Cell, Table
from harness.units import significant

NO_SCORES = "no trial has a score"
Row = tuple[Cell, ...]


def chosen_table(found: Sequence[Search]) -> Table:
    """One row an arm: the settings that it was compared with, and how many trials come near them."""
    metric = found[0].tuning.metric
    columns = (
        "arm",
        "trial",
        "settings",
        metric,
        "tuned settings",
        "others within 1 point",
        "at an end of its range",
    )
    rows = tuple(_chosen(one) for one in found)
    notes = (
        f"Scores are on the development split, and of the best of many: what it reaches on pairs that chose "
        "nothing stands in the tables of scores. Others within 1 point: the share of the other trials that "
        f"score at most {POINT:g} below the arm's best, with Wilson's 95% interval. At an end: a number in "
        f"the outer {EDGE:.0%} of its range, beyond which there may be a better one.",
    )
    return Table("tuning_chosen", "Chosen settings", columns, rows, notes)


def _chosen(one: Search) -> Row:
    trial, sources = one.chosen, all_sources(one)
    count = Cell(len(one.places), "count")
    near = estimate_cell(one.near, sources, "percent", 0) if one.scores else Cell(None, reason=NO_SCORES)
    if trial is None:
        absent = Cell(None, reason=NO_SCORES)
        return (Cell(one.arm), absent, absent, absent, count, near, absent)
    values = [(place, value) for place in one.places if (value := setting_of(trial, place)) is not None]
    ends = [".".join(place) for place, value in values if range_of(one, place).at_an_end(value)]
    number = Cell(str(trial.number), sources=sources_of(trial))
    return (
        Cell(one.arm),
        number,
        Cell(settings_in_words(one, trial)),
        score_cell(one, trial),
        count,
        near,
        Cell(", ".join(ends) or "none"),
    )


def score_cell(one: Search, trial: TuningTrial) -> Cell:
    """What a trial reached, traced to the stages that trained and scored it."""
    kind, digits = score_format(one.tuning.metric)
    about = About(one.tuning.metric, one.arm)
    reason = trial.reason or "its score is not finite"
    return Cell(score_of(trial), kind, digits=digits, reason=reason, sources=sources_of(trial), about=about)


def best_table(found: Sequence[Search]) -> Table:
    """One row an arm: the expected best of 1, 2, 4, ... and of all trials."""
    counts = _counts(max(len(one.trials) for one in found))
    rows = tuple((Cell(one.arm), *(_best(one, k) for k in counts)) for one in found)
    names = ("1 trial", *(f"{k} trials" for k in counts[1:]))
    metric = found[0].tuning.metric
    notes = (
        f"The {metric} that the best of so many trials reaches on average, over every choice of them from "
        "those that ran, without replacement (Tang et al. 2020; Dodge et al. 2019 draw with replacement, "
        "which is biased). Brackets: 95% intervals about other searches of the same space, each by itself, "
        "wide rather than narrow whatever the scores' distribution (Gaffke 2005); scores count between the "
        "worst and the best that any arm's search found. A trial that ended early counts what it had "
        "reached; one without a score counts as the worst of all.",
    )
    return Table("tuning_best_of", "Expected best of so many trials", ("arm", *names), rows, notes)


def _counts(most: int) -> list[int]:
    """1, 2, 4, ... and the most."""
    return sorted({*(2**power for power in range(most.bit_length()) if 2**power <= most), most})


def _best(one: Search, k: int) -> Cell:
    kind, digits = score_format(one.tuning.metric)
    if one.curve is None:
        return Cell(None, reason=NO_SCORES)
    if k > len(one.trials):
        return Cell(None, applies=False)
    value, interval = one.shown(one.curve.value[k - 1]), one.curve.interval(k)
    low, high = sorted(map(one.shown, interval)) if interval else (None, None)
    return Cell(
        value,
        kind,
        low,
        high,
        digits,
        sources=all_sources(one),
        no_interval=one.why_unsure,
        about=About(one.tuning.metric, one.arm),
    )


def importance_table(found: Sequence[Search]) -> Table:
    """One row an arm and setting: how much of the scores goes with it."""
    rows = []
    for one in found:
        for place in one.places:
            share = one.importance[place]
            cells = (
                Cell(share.share, "percent", digits=0, reason=share.reason, sources=all_sources(one)),
                Cell(share.p, "number", digits=3, reason=share.reason),
            )
            rows.append((Cell(one.arm), Cell(".".join(place)), *cells))
    notes = (
        "How much of the ranks of the scores goes with one setting alone: 1 - (1 - R^2) (n - 1) / (n - g), "
        "of n trials in g groups, R^2 being the share of variance between them; 0 on average where nothing "
        "depends on it, and never shown below 0. Groups: each choice, or the lowest, middle and highest "
        f"third of a number. p: how many of {SHUFFLES:,} shuffles explain as much, unadjusted. From "
        f"{FEWEST_TRIALS} trials on.",
    )
    columns = ("arm", "setting", "importance", "p of none")
    return Table("tuning_importance", "Which settings matter", columns, tuple(rows), notes)


def cost_table(view: ComparisonView, found: Sequence[Search]) -> Table:
    """One row an arm: what its search took, what one training takes, and both."""
    columns = (
        "arm",
        "trials",
        "ended early",
        "without a score",
        *(f"tuning: {quantity.title}" for quantity in AXES),
        *(f"with one training: {quantity.title}" for quantity in AXES),
    )
    rows = tuple((Cell(one.arm), *_counted(one), *_costs(view, one)) for one in found)
    notes = (
        "Tuning: training of all trials, those included that ended early or failed, each charged in full "
        "where arms share a stage; scoring them on the development split is not in it. With one training of "
        "the chosen settings, mean over the comparison's seeds: what one tuned model takes.",
    )
    return Table("tuning_cost", "What tuning cost", columns, rows, notes)


def _counted(one: Search) -> Row:
    return tuple(Cell(count, "count") for count in (len(one.trials), one.ended_early, one.failed))


def _costs(view: ComparisonView, one: Search) -> Iterator[Cell]:
    tuned = [_tuning_cost(one, quantity) for quantity in AXES]
    trained = [
        cost_cell(view, one.arm, quantity)
        if one.arm in view.arms
        else Cell(None, reason="the arm is not in this comparison")
        for quantity in AXES
    ]
    yield from tuned
    for quantity, search, training in zip(AXES, tuned, trained, strict=True):
        yield _both(quantity, search, training)


def _tuning_cost(one: Search, quantity: Quantity) -> Cell:
    value, reason = one.cost(quantity)
    about = About(f"tuning.{quantity.name}", one.arm)
    return Cell(value, quantity.kind, reason=reason, sources=all_sources(one), about=about)


def _both(quantity: Quantity, tuning: Cell, training: Cell) -> Cell:
    sources = tuple(dict.fromkeys((*tuning.sources, *training.sources)))
    if not isinstance(tuning.value, int | float) or not isinstance(training.value, int | float):
        return Cell(None, quantity.kind, reason=tuning.reason or training.reason, sources=sources)
    return Cell(tuning.value + training.value, quantity.kind, sources=sources)


def trials_table(found: Sequence[Search]) -> Table:
    """Every trial: its settings, what it reached and took, and how it ended; folded."""
    places = list(dict.fromkeys(place for one in found for place in one.places))
    metric = found[0].tuning.metric
    columns = ("trial", *map(".".join, places), metric, *(quantity.title for quantity in AXES), "ended")
    rows = tuple(_trial(one, trial, places) for one in found for trial in one.trials)
    notes = ("A dash: the arm has no such setting, or did not tune it.",)
    return Table("tuning_trials", "Every trial", columns, rows, notes, folded=True)


def _trial(one: Search, trial: TuningTrial, places: Sequence[Place]) -> Row:
    sources = sources_of(trial)
    costs = (
        Cell(taken(trial, quantity), quantity.kind, reason="not recorded", sources=sources)
        for quantity in AXES
    )
    settings = (_setting(setting_of(trial, place)) for place in places)
    return (
        Cell(f"{one.arm} {trial.number}"),
        *settings,
        score_cell(one, trial),
        *costs,
        Cell(how_it_ended(one, trial)),
    )


def _setting(value: Setting | None) -> Cell:
    """A number with three digits, from 0.001 on; other settings in words."""
    if value is None:
        return Cell(None, applies=False)
    if isinstance(value, str | bool):
        return Cell(str(value))
    size = 0 if value == 0 else math.floor(math.log10(abs(float(significant(value)))))
    return Cell(
        value, "number", digits=0 if isinstance(value, int) else max(0, 2 - size) if size >= -3 else 3
    )


def how_it_ended(one: Search, trial: TuningTrial) -> str:
    """In words: chosen, at its end, or before it."""
    if trial.pruned_at is not None:
        return f"early, at {trial.pruned_at:.0%} of its last stage"
    if score_of(trial) is None:
        return "without a score"
    return "chosen" if trial == one.chosen else "at its end"


def all_sources(one: Search) -> tuple[str, ...]:
    """The stages of all trials of an arm, each once."""
    return tuple(dict.fromkeys(digest for trial in one.trials for digest in sources_of(trial)))
