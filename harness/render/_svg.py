"""Figures as inline SVG for the page: points that can be pointed at, colours that follow the theme."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape

from harness.render._forest import forest
from harness.render._parallel import parallel
from harness.render._scales import Scale, scale, ticks
from harness.tables import Cell, Figure, Panel, Series
from harness.units import plain, significant

WIDTH, HEIGHT = 420, 300
LEFT, RIGHT, TOP, BOTTOM = 62, 12, 30, 46
DASHES = ("", "6 3", "6 3 1 3", "2 3", "8 3 2 3 2 3", "10 3", "")
SHAPES = 4


def svg(figure: Figure) -> str:
    """One `<svg>` a panel, side by side, with a legend in words."""
    return "".join(_panel(panel, f"{figure.title}: {panel.title}") for panel in figure.panels)


def _panel(panel: Panel, title: str) -> str:
    if panel.kind == "forest":
        return forest(panel, title)
    if panel.kind == "parallel":
        return parallel(panel, title)
    body = _radar(panel) if panel.kind == "radar" else _plane(panel)
    legend = "".join(
        f'<li><svg viewBox="0 0 26 12" aria-hidden="true"><path class="s{i % 7}" d="M1 6H25" '
        f'stroke-dasharray="{DASHES[i % 7]}"/>{_mark(13, 6, i)}</svg>{escape(series.label)}</li>'
        for i, series in enumerate(panel.series)
    )
    return (
        f'<div class="panel"><svg class="plot" role="group" tabindex="0" aria-label="{escape(title)}" '
        f'viewBox="0 0 {WIDTH} {HEIGHT}"><title>{escape(title)}</title>{body}</svg>'
        f'<ul class="legend">{legend}</ul></div>'
    )


def _plane(panel: Panel) -> str:
    xs = [x for s in panel.series for x in s.x]
    ys = [y for s in panel.series for y in (*s.y, *s.low, *s.high, *(s.centre or ())[1:])]
    if not xs:
        return ""
    across = scale(min(xs), max(xs), LEFT, WIDTH - RIGHT, log=panel.log_x)
    up = scale(min(ys), max(ys), HEIGHT - BOTTOM, TOP)
    parts = [
        *(_x_tick(across(v), _short(v, panel)) for v in _marks(panel, min(xs), max(xs))),
        *(_y_tick(up(v), _tall(v, panel)) for v in ticks(min(ys), max(ys))),
        f'<text class="axis" x="{(LEFT + WIDTH) / 2:.0f}" y="{HEIGHT - 6}" text-anchor="middle">'
        f"{escape(panel.x_label)}</text>",
        f'<text class="axis" transform="translate(13 {(TOP + HEIGHT - BOTTOM) / 2:.0f}) rotate(-90)" '
        f'text-anchor="middle">{escape(panel.y_label)}</text>',
        f'<text class="head" x="{LEFT}" y="16">{escape(panel.title)}</text>',
    ]
    for number, series in enumerate(panel.series):
        points = [(across(x), up(y)) for x, y in zip(series.x, series.y, strict=True)]
        if panel.kind == "line":
            parts += [_band(series, across, up, number), _line(points, number)]
            parts += [_break(across(x), number) for x in series.breaks]
        if series.centre is not None:
            parts.append(_centre(series, panel, across, up, number))
        tips = [
            f"{series.label}: {_short(x, panel)} {panel.x_label}, {_exact(y, panel)} {panel.y_label}"
            for x, y in zip(series.x, series.y, strict=True)
        ]
        parts += [_point(x, y, number, tip) for (x, y), tip in zip(points, tips, strict=True)]
    return "".join(parts)


def _radar(panel: Panel) -> str:
    count = len(panel.x_names)
    top = ticks(0.0, 1.2 * max((y for s in panel.series for y in s.y), default=1.0))[-1]
    middle, radius = (WIDTH / 2, HEIGHT / 2 + 6), HEIGHT / 2 - 42

    def at(place: int, value: float) -> tuple[float, float]:
        angle, length = math.tau * place / count, radius * value / top
        return middle[0] + length * math.sin(angle), middle[1] - length * math.cos(angle)

    parts = [f'<text class="head" x="8" y="16">{escape(panel.title)}</text>']
    for ring in (0.25, 0.5, 0.75, 1.0):
        outline = [at(i, ring * top) for i in range(count)]
        parts.append(f'<path class="grid" d="{_path([*outline, outline[0]])}"/>')
        x, y = at(0, ring * top)
        parts.append(f'<text class="tick" x="{x + 3:.1f}" y="{y - 2:.1f}">{ring * top:.3g}</text>')
    for place, name in enumerate(panel.x_names):
        x, y = at(place, 1.13 * top)
        side = round(math.sin(math.tau * place / count), 6)
        anchor = "start" if side > 0 else "end" if side < 0 else "middle"
        parts.append(
            f'<text class="axis" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(name)}</text>'
        )
    for number, series in enumerate(panel.series):
        outline = [at(i, y) for i, y in enumerate(series.y)]
        parts.append(_line([*outline, outline[0]], number))
        for (x, y), name, value in zip(outline, panel.x_names, series.y, strict=True):
            parts.append(_point(x, y, number, f"{series.label}: {name} {significant(value, 4)}"))
    return "".join(parts)


def _short(value: float, panel: Panel) -> str:
    return plain(Cell(value, panel.x_kind)) if panel.x_kind != "number" else significant(value, 4)


def _exact(value: float, panel: Panel) -> str:
    """A value of the y axis as tables show it, where they do."""
    return plain(Cell(value, "percent")) if panel.y_kind == "percent" else significant(value, 4)


def _tall(value: float, panel: Panel) -> str:
    return f"{100 * value:.4g}%" if panel.y_kind == "percent" else f"{value:.4g}"


def _marks(panel: Panel, low: float, high: float) -> list[float]:
    """Round values of x; of counts those that are whole."""
    found = ticks(low, high, log=panel.log_x)
    return [v for v in found if v == int(v)] if panel.x_kind == "count" else found


def _x_tick(x: float, text: str) -> str:
    bottom = HEIGHT - BOTTOM
    return (
        f'<path class="grid" d="M{x:.1f} {TOP}V{bottom}"/>'
        f'<text class="tick" x="{x:.1f}" y="{bottom + 14}" text-anchor="middle">{escape(text)}</text>'
    )


def _y_tick(y: float, text: str) -> str:
    return (
        f'<path class="grid" d="M{LEFT} {y:.1f}H{WIDTH - RIGHT}"/>'
        f'<text class="tick" x="{LEFT - 5}" y="{y + 3:.1f}" text-anchor="end">{escape(text)}</text>'
    )


def _path(points: Sequence[tuple[float, float]]) -> str:
    return "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in points) if points else ""


def _line(points: Sequence[tuple[float, float]], number: int) -> str:
    return f'<path class="s{number % 7}" stroke-dasharray="{DASHES[number % 7]}" d="{_path(points)}"/>'


def _band(series: Series, across: Scale, up: Scale, number: int) -> str:
    if not series.low or series.low == series.high:
        return ""
    there = [(across(x), up(y)) for x, y in zip(series.x, series.high, strict=True)]
    back = [(across(x), up(y)) for x, y in zip(series.x, series.low, strict=True)][::-1]
    return f'<path class="band f{number % 7}" d="{_path([*there, *back])}Z"/>'


def _break(x: float, number: int) -> str:
    """Where a stage ends."""
    return (
        f'<path class="s{number % 7}" style="stroke-width:1" stroke-dasharray="2 4" '
        f'd="M{x:.1f} {TOP}V{HEIGHT - BOTTOM}"/>'
    )


def _centre(series: Series, panel: Panel, across: Scale, up: Scale, number: int) -> str:
    """A cloud's mean, larger than its points, on the line of its interval."""
    assert series.centre is not None
    x, y, low, high = series.centre
    between = f"{_exact(low, panel)} to {_exact(high, panel)}"
    tip = f"{series.label}, mean: {_short(x, panel)} {panel.x_label}, {_exact(y, panel)} ({between})"
    place = f"translate({across(x):.1f} {up(y):.1f}) scale(2)"
    return (
        f'<path class="s{number % 7}" d="M{across(x):.1f} {up(low):.1f}V{up(high):.1f}"/>'
        f'<g class="point" tabindex="-1" role="img" aria-label="{escape(tip)}" data-tip="{escape(tip)}" '
        f'transform="{place}">{_mark(0, 0, number)}</g>'
    )


def _point(x: float, y: float, number: int, tip: str) -> str:
    label = escape(tip)
    mark = _mark(x, y, number)
    return f'<g class="point" tabindex="-1" role="img" aria-label="{label}" data-tip="{label}">{mark}</g>'


def _mark(x: float, y: float, number: int) -> str:
    """Circle, square, triangle or diamond, so that a grey print can be read."""
    css = f'class="f{number % 7}"'
    kind = number % SHAPES
    if kind == 0:
        return f'<circle {css} cx="{x:.1f}" cy="{y:.1f}" r="3.5"/>'
    if kind == 1:
        return f'<rect {css} x="{x - 3:.1f}" y="{y - 3:.1f}" width="6" height="6"/>'
    if kind == 2:
        return f'<path {css} d="M{x:.1f} {y - 4:.1f}l4 7h-8z"/>'
    return f'<path {css} d="M{x:.1f} {y - 4.5:.1f}l4 4.5l-4 4.5l-4 -4.5z"/>'
