"""What several runs say together: combined effects, forests, stability, and the runs behind them."""

from __future__ import annotations

from collections.abc import Sequence

from harness.evidence.aggregates import definitions
from harness.evidence.amounts import amount, unit_of
from harness.evidence.arms import arm_titles
from harness.evidence.cells import estimate_cell
from harness.evidence.combined import CombinedEffect
from harness.evidence.primary import head_to_head
from harness.evidence.run_effects import model_of, models_and_data, primary_pairs, run_label, stability_of
from harness.evidence.statistics.stability import Stability
from harness.evidence.view import ComparisonView
from harness.tables import Cell, CellKind, Figure, ForestRow, Panel, Section, Table
from harness.units import plain

LABELS = ("model", "data", "seeds")
METHOD = (
    "Random effects over models and data sets: variance between them by Paule and Mandel, 95% interval by "
    "Hartung and Knapp with t on one degree of freedom less than there are, never on less than the "
    "fixed-effect error; runs of one model and data set are combined first and count once. Errors from few "
    "seeds are moderated towards their mean. tau is the standard deviation of true effects (of ratios: of "
    "their logarithms), I^2 its share of all variance, Q's p that of no such deviation. `One more run` is "
    "the 95% prediction interval of what a run of another model or data set like these would measure."
)
REGISTERED = (
    "Registered: every combined run asked this question before it ran; p is adjusted over all of these. "
    "The rest is exploratory, its p is not adjusted."
)
TWO = (
    "With 2 models and data sets there is one degree of freedom, and no prediction: such an interval "
    "excludes no difference only where the two agree very closely."
)
LEFT_OUT = (
    "A run that is left out has no say in the combined effect: one in which the arms are equal on every "
    "item would have drawn it towards none."
)
ONE_SEED = (
    "At one seed a run's error is that of items alone: what seeds add counts as a difference between runs."
)


def title_of(views: Sequence[ComparisonView]) -> str:
    """`A against B` where every run is about the same two arms."""
    pairs, titles = primary_pairs(views), set()
    for view in views:
        names = arm_titles(view)
        titles |= {f"{names[p.a]} against {names[p.b]}" for p in pairs if {p.a, p.b} <= names.keys()}
    return titles.pop() if len(pairs) == 1 and len(titles) == 1 else "The primary arms"


def summary_of(views: Sequence[ComparisonView], effects: Sequence[CombinedEffect]) -> list[str]:
    """The combined effect of the score that was registered, or comes first, and of time; a sentence each."""
    known = [one for one in effects if one.combined is not None]
    scores = [one for one in known if not one.is_cost]
    contests = {head_to_head(view, pair) for view in views for pair in primary_pairs([view])}
    scores.sort(key=lambda one: (not one.registered, one.quantity not in contests))
    costs = [one for one in known if one.is_cost]
    costs.sort(key=lambda one: not one.registered)
    shown = [*scores[:1], *costs[:1]]
    if not shown:
        return [
            "Nothing is combined over runs: fewer than 2 models and data sets have an effect with an error."
        ]
    return [f"{title_of(views)}, {_sentence(one)}" for one in shown]


def _sentence(one: CombinedEffect) -> str:
    models, data = models_and_data(one.included)
    shown = plain(estimate_cell(one.estimate, ()))
    what = "ratio" if one.is_cost else "difference"
    kind = "registered in every run" if one.registered else "exploratory"
    of = f"{_count(len(one.included), 'run')}, {_count(models, 'model')} and {_count(data, 'data set')}"
    return f"{one.quantity}: {one.verdict.text} ({what} {shown} over {of}; {kind})."


def _count(n: int, word: str) -> str:
    return f"{n} {word}" if n == 1 else f"{n} {word}s"


def combined_section(views: Sequence[ComparisonView], effects: Sequence[CombinedEffect]) -> Section | None:
    """Tables of combined effects and of stability, and a forest each; None where nothing is combined."""
    known = [one for one in effects if one.combined is not None]
    if not known:
        return None
    tables = [combined_table(effects)]
    stable = stability_table(views, effects)
    figures = tuple(forest(one) for one in known)
    title = f"{title_of(views)} over all runs"
    return Section(title, (), tuple([*tables, *([stable] if stable else [])]), figures)


def combined_table(effects: Sequence[CombinedEffect]) -> Table:
    """A row a quantity: combined effect, verdict, and how much runs differ."""
    columns = (
        *("quantity", "arm", "rival", "runs", "models", "data sets", "effect", "verdict", "p"),
        *("registered", "tau", "I^2", "Q's p", "one more run"),
    )
    notes = [METHOD, REGISTERED, *_made_of(effects)]
    if any(one.estimate.n == 2 for one in effects if one.combined):
        notes.append(TWO)
    rows = tuple(_combined_row(one) for one in effects)
    return Table("runs_combined", "Combined effects", columns, rows, tuple(notes))


def _combined_row(one: CombinedEffect) -> tuple[Cell, ...]:
    models, data = models_and_data(one.included)
    counts = (Cell(count, "count") for count in (len(one.included), models, data))
    sources = [source for run in one.runs if run.effect and run.contrast for source in run.contrast.sources]
    named = (Cell(one.quantity), Cell(one.a), Cell(one.b), *counts)
    asked = "yes" if one.registered else "no"
    if one.margin is not None:
        asked += f", margin {amount(unit_of(one.quantity), one.margin)}"
    return (
        *named,
        estimate_cell(one.estimate, tuple(dict.fromkeys(sources))),
        Cell(one.verdict.text),
        _number(one.p, "no test"),
        Cell(asked),
        *_heterogeneity(one),
    )


def _heterogeneity(one: CombinedEffect) -> tuple[Cell, ...]:
    """Tau, I^2, Q's p and the prediction."""
    if one.combined is None:
        return (Cell(None, reason=one.estimate.reason),) * 4
    exact = "values that repeat exactly have no error to compare with"
    share = Cell(one.combined.i2, "percent", digits=0, reason=exact)
    ahead: Cell = Cell(None, reason="a prediction needs 3 models and data sets with some spread")
    if one.predicted is not None:
        low, high = one.predicted
        ahead = Cell(one.estimate.value, "number", low, high, 3)
    return (_number(one.combined.tau, ""), share, _number(one.combined.q_p, exact), ahead)


def forest(one: CombinedEffect) -> Figure:
    """A row a run that has a value, the combined effect below them, and what one more run would measure."""
    rows = [
        ForestRow(_short(run.view), value, estimate.low, estimate.high, weight)
        for run, weight in zip(one.runs, one.weights, strict=True)
        if run.contrast is not None
        for estimate in [run.contrast.estimate]
        if (value := estimate.value) is not None
    ]
    middle = one.estimate.value
    assert middle is not None
    rows.append(ForestRow("all runs", middle, one.estimate.low, one.estimate.high, kind="combined"))
    if one.predicted is not None:
        rows.append(ForestRow("one more run", middle, *one.predicted, kind="prediction"))
    name = "".join(c if c.isalnum() else "_" for c in f"{one.quantity}_{one.a}_{one.b}")
    sign = "/" if one.is_cost else "-"
    panel = Panel(
        one.quantity,
        f"{one.a} {sign} {one.b}",
        "",
        (),
        kind="forest",
        log_x=one.is_cost,
        rows=tuple(rows),
        neutral=1.0 if one.is_cost else 0.0,
    )
    caption = (
        "Squares: runs, as large as their weight (percentages), with the interval of each; hollow: left "
        f"out of the combined effect. Diamond: the combined effect, about {one.estimate.target}. Thick line: "
        "what one more run would measure. Dashed: no difference."
    )
    return Figure(f"forest_{name}", f"{one.quantity}, run by run", (panel,), caption)


def _short(view: ComparisonView) -> str:
    """Model and data by the last part of their names, and the seeds."""
    model, data = (name.rstrip("/").rpartition("/")[2] for name in (model_of(view), view.source))
    seeds = ", ".join(map(str, view.seeds))
    return f"{model}, {data}, seed{'s' if len(view.seeds) > 1 else ''} {seeds}"


def stability_table(views: Sequence[ComparisonView], effects: Sequence[CombinedEffect]) -> Table | None:
    """Whether the gain of one arm over the baseline varies less between runs than that of the other."""
    rows = []
    for one in effects:
        baselines = {run.view.baseline for run in one.runs}
        if one.is_cost or len(baselines) > 1 or baselines & {one.a, one.b}:
            continue
        spread = stability_of(views, one.quantity, one.a, one.b)
        if spread.ratio.n:
            rows.append((Cell(one.quantity), Cell(one.a), Cell(one.b), *_spread_cells(spread)))
    if not rows:
        return None
    note = (
        "A gain is an arm's score less the baseline's. The ratio is that of the standard deviations of "
        "measured gains over models and data sets, with Pitman's and Morgan's interval; tau is without the "
        "runs' own errors. More or less stable is said where the interval lies beyond every ratio that equal "
        "true spreads would give."
    )
    columns = ("quantity", "a", "b", "models and data sets", "tau of a", "tau of b", "spread a / b", "a is")
    return Table("runs_stability", "Stability of gains over the baseline", columns, tuple(rows), (note,))


def _spread_cells(one: Stability) -> tuple[Cell, ...]:
    reason = one.ratio.reason or ""
    return (
        Cell(one.ratio.n, "count"),
        _number(one.tau_a, reason),
        _number(one.tau_b, reason),
        estimate_cell(one.ratio, ()),
        Cell(stability_text(one)),
    )


def stability_text(one: Stability) -> str:
    """More stable, less stable, not separable, or not measured and why."""
    if one.ratio.value is None:
        return f"not measured: {one.ratio.reason}"
    words = {True: "more stable", False: "less stable", None: "not separable"}
    return words[one.more_stable]


def differences_table(effects: Sequence[CombinedEffect]) -> Table:
    """A row a quantity and run, of the run's primary arms, with its part in the combined effect."""
    rows, notes = [], [LEFT_OUT, *_made_of(effects)]
    for one in effects:
        for run, weight in zip(one.runs, one.weights, strict=True):
            named = (Cell(one.quantity), *map(Cell, run_label(run.view)), Cell(one.a), Cell(one.b))
            shown, words = Cell(None, reason=run.reason), Cell("not measured")
            if run.contrast is not None:
                shown = estimate_cell(run.contrast.estimate, run.contrast.sources)
                words = Cell(run.contrast.verdict.text)
            part = "nothing is combined" if one.combined is None else "yes"
            part = part if run.effect is not None else f"left out: {run.reason}"
            rows.append((*named, shown, words, Cell(part), _number(weight, "no part", "percent", 0)))
            if run.effect and len(run.view.seeds) == 1 and not one.is_cost and ONE_SEED not in notes:
                notes.append(ONE_SEED)
    columns = ("quantity", *LABELS, "arm", "rival", "effect", "verdict", "combined", "weight")
    return Table("runs_differences", "Differences by run", columns, tuple(rows), tuple(notes))


def _made_of(effects: Sequence[CombinedEffect]) -> list[str]:
    """What the aggregates among the effects are, which is the same in every run that has them."""
    known = {q: text for one in effects for run in one.runs for q, text in definitions(run.view).items()}
    return [known[one.quantity] for one in effects if one.quantity in known]


def _number(value: float | None, reason: str, kind: CellKind = "number", digits: int = 3) -> Cell:
    return Cell(value, kind, digits=digits, reason=reason or None)
