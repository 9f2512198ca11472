"""The report of a sweep: who wins where, how scores and costs grow, and the runs behind it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from harness.evidence.arms import arm_titles
from harness.evidence.cells import cost_cell, difference_cell, estimate_cell, score_cell, score_format
from harness.evidence.swept import (
    NOT_SEPARABLE,
    NOT_TESTED,
    At,
    Contest,
    contests,
    exponent,
    numeric,
)
from harness.quantities import FLOPS, WALL_SECONDS, cost_of
from harness.tables import Cell, Figure, Panel, Report, Section, Series, Table

LOG_FROM = 10.0
MOST_PANELS = 4
TESTED = (
    "Differences with their own 95% intervals; bold where they are separable at 5% over all points and "
    "questions of the sweep together (Holm, which holds however points depend on each other)."
)


def sweep_report(name: str, fields: Sequence[str], points: Sequence[At]) -> Report:
    """`points` in the order of the sweep, the last of `fields` varying fastest."""
    asked = contests(points)
    sections = [Section("Who wins where", (), *_diagrams(asked, fields, points))]
    growing = [field for field in fields if len(_values(field, points)) > 1]
    curves = tuple(curve for field in growing if (curve := _curves(field, fields, points, asked)) is not None)
    costs = tuple(table for field in growing if (table := _exponents(field, fields, points)) is not None)
    if curves or costs:
        sections.append(Section("How scores and costs change", (), costs, curves))
    sections.append(Section("Points", (), (_points_table(fields, points),)))
    summary = tuple(_sentence(one, points) for one in asked) or (
        "The comparison asks no question, so that no diagram says who wins.",
    )
    return Report(f"Sweep {name}", summary, tuple(sections), _data(name, asked, points))


def _values(field: str, points: Sequence[At]) -> list[object]:
    return list(dict.fromkeys(at.settings[field] for at in points))


def _sentence(one: Contest, points: Sequence[At]) -> str:
    """How often each of the two wins."""
    titles = arm_titles(points[0].view)
    winners = [one.winner(place) for place in range(len(points))]
    counts = {arm: winners.count(arm) for arm in (one.a, one.b)}
    untested = sum(answer.estimate.value is None for answer in one.found)
    none = len(points) - sum(counts.values()) - untested
    more = f", {untested} not measured" if untested else ""
    a, b = (titles.get(arm, arm) for arm in (one.a, one.b))
    verb = "has less" if cost_of(one.quantity) else "is better"
    return (
        f"{one.quantity}, {a} against {b}: of {len(points)} points {a} {verb} at {counts[one.a]}, {b} at "
        f"{counts[one.b]}, not separable at {none}{more}."
    )


def _diagrams(
    asked: Sequence[Contest], fields: Sequence[str], points: Sequence[At]
) -> tuple[tuple[Table, ...], tuple[Figure, ...]]:
    tables = tuple(_diagram(number, one, fields, points) for number, one in enumerate(asked, 1))
    panels = tuple(_map(one, fields, points) for one in asked[:MOST_PANELS]) if len(fields) == 2 else ()
    axes = [numeric(_values(field, points)) for field in fields]
    if not panels or any(axis is None for axis in axes):
        return tables, ()
    caption = "A mark a point of the sweep, by the arm that is separably better there."
    return tables, (Figure("phase", "Who wins where", panels, caption),)


def _diagram(number: int, one: Contest, fields: Sequence[str], points: Sequence[At]) -> Table:
    """Rows are values of the first field, columns those of the second."""
    rows, wide = _values(fields[0], points), len(fields) == 2
    columns = _values(fields[1], points) if wide else [None]
    cells = tuple(
        (Cell(str(row)), *(_cell(one, number * len(columns) + place) for place in range(len(columns))))
        for number, row in enumerate(rows)
    )
    titles = arm_titles(points[0].view)
    heads = [f"{fields[1]} {column}" for column in columns] if wide else ["difference"]
    what = "over" if cost_of(one.quantity) else "less"
    title = f"{one.quantity}: {titles.get(one.a, one.a)} {what} {titles.get(one.b, one.b)}"
    return Table(f"phase_{number}", title, (fields[0], *heads), cells, (TESTED,))


def _cell(one: Contest, place: int) -> Cell:
    answer = one.found[place]
    cell = difference_cell(one.quantity, answer.estimate, answer.sources)
    return replace(cell, bold=one.winner(place) is not None)


def _map(one: Contest, fields: Sequence[str], points: Sequence[At]) -> Panel:
    """Points of the sweep as marks, a series a winner, each with one colour in all maps."""
    titles = arm_titles(points[0].view)
    names = {arm: f"{titles.get(arm, arm)} better" for arm in points[0].view.arms}
    marks: dict[str, list[At]] = {label: [] for label in (*names.values(), NOT_SEPARABLE, NOT_TESTED)}
    for place, at in enumerate(points):
        winner = one.winner(place)
        marks[names[winner] if winner else one.in_words(place)].append(at)
    x, y = fields[1], fields[0]
    series = tuple(
        Series(label, tuple(_number(at, x) for at in some), tuple(_number(at, y) for at in some))
        for label, some in marks.items()
    )
    return Panel(one.quantity, x, y, series, kind="scatter")


def _number(at: At, field: str) -> float:
    value = at.settings[field]
    return float(value) if isinstance(value, int | float) else float("nan")


def _curves(
    field: str, fields: Sequence[str], points: Sequence[At], asked: Sequence[Contest]
) -> Figure | None:
    """Scores of every arm along a field, a panel a value of the other one."""
    metrics = list(dict.fromkeys(one.quantity for one in asked if cost_of(one.quantity) is None))
    values = numeric(_values(field, points))
    if values is None or not metrics:
        return None
    log = min(values) > 0 and max(values) / min(values) >= LOG_FROM
    panels = [
        Panel(
            f"{metrics[0]}{_at(other)}",
            field,
            metrics[0],
            tuple(_series(arm, metrics[0], field, some) for arm in points[0].view.arms),
            log_x=log,
            y_kind=score_format(metrics[0])[0],
        )
        for other, some in _by_other(field, fields, points)
    ]
    name = f"scaling_{field.replace('.', '_')}"
    caption = f"{metrics[0]} of every arm; bands: 95% intervals of each score by itself."
    return Figure(name, f"{metrics[0]} along {field}", tuple(panels[:MOST_PANELS]), caption)


def _at(other: str) -> str:
    return f" at {other}" if other else ""


def _by_other(field: str, fields: Sequence[str], points: Sequence[At]) -> list[tuple[str, list[At]]]:
    """Points that differ in `field` alone, with what they share."""
    others = [name for name in fields if name != field]
    groups: dict[str, list[At]] = {}
    for at in points:
        groups.setdefault(", ".join(f"{name} {at.settings[name]}" for name in others), []).append(at)
    return list(groups.items())


def _series(arm: str, metric: str, field: str, points: Sequence[At]) -> Series:
    cells = [(_number(at, field), score_cell(at.view, arm, metric)) for at in points if arm in at.view.arms]
    known = [(x, cell) for x, cell in cells if isinstance(cell.value, int | float)]
    bands = [(c.low, c.high) for _, c in known]
    whole = all(low is not None and high is not None for low, high in bands)
    return Series(
        arm_titles(points[0].view).get(arm, arm),
        tuple(x for x, _ in known),
        tuple(float(cell.value or 0.0) for _, cell in known),
        tuple(low for low, _ in bands if low is not None) if whole else (),
        tuple(high for _, high in bands if high is not None) if whole else (),
    )


def _exponents(field: str, fields: Sequence[str], points: Sequence[At]) -> Table | None:
    """Fitted exponents of time and FLOPs in a field, where it is a number above 0."""
    values = numeric(_values(field, points))
    if values is None or min(values) <= 0 or len(values) < 3:
        return None
    rows = []
    for other, some in _by_other(field, fields, points):
        for arm in points[0].view.arms:
            sources = tuple(dict.fromkeys(s for at in some for s in cost_cell(at.view, arm, FLOPS).sources))
            fits = (exponent(some, field, arm, quantity) for quantity in (WALL_SECONDS, FLOPS))
            rows.append((Cell(arm), Cell(other or "all"), *(estimate_cell(fit, sources) for fit in fits)))
    note = (
        f"b of cost = a * {field}^b, least squares on logarithms with 95% t intervals over the points; where "
        "a part of the cost is fixed, b is below what each further unit costs."
    )
    columns = ("arm", "at", "exponent of time", "exponent of FLOPs")
    return Table(
        f"exponents_{field.replace('.', '_')}", f"Growth with {field}", columns, tuple(rows), (note,)
    )


def _points_table(fields: Sequence[str], points: Sequence[At]) -> Table:
    rows = tuple(
        (
            *(Cell(str(at.settings[field])) for field in fields),
            Cell(at.view.record.id),
            Cell(len(at.view.seeds), "count"),
            Cell(len(at.view.record.failed), "count"),
        )
        for at in points
    )
    columns = (*fields, "run", "seeds", "failed stages")
    return Table("points", "The runs of the sweep", columns, rows, ("Each has a report of its own.",))


def _data(name: str, asked: Sequence[Contest], points: Sequence[At]) -> dict[str, object]:
    return {
        "sweep": name,
        "points": [{"settings": dict(at.settings), "run": at.view.record.id} for at in points],
        "contests": [
            {
                "quantity": one.quantity,
                "a": one.a,
                "b": one.b,
                "values": [answer.estimate.value for answer in one.found],
                "low": [answer.estimate.low for answer in one.found],
                "high": [answer.estimate.high for answer in one.found],
                "p_adjusted": list(one.p),
                "winner": [one.winner(place) for place in range(len(points))],
            }
            for one in asked
        ],
    }
