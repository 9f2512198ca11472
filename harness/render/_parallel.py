"""Parallel coordinates as inline SVG: an upright axis a setting, the last one the score, a line a trial."""

from __future__ import annotations

from html import escape

from harness.tables import Panel, Polyline, Upright

WIDTH, HEIGHT = 860, 250
LEFT, RIGHT, TOP, BOTTOM = 90, 110, 46, 14
FAINTEST = 0.25
STYLES = {
    "finished": ("s0", "f0", "", 1.5),
    "ended early": ("s2", "f2", "6 3", 1.5),
    "no score": ("s6", "f6", "2 3", 1.2),
    "chosen": ("s1", "f1", "", 3.5),
}
"""Classes of line and mark, dashes and width by kind, in the order in which they are drawn."""


def parallel(panel: Panel, title: str) -> str:
    """The panel as one `<svg>`, with a legend of the kinds of line that it has."""
    count = len(panel.uprights)
    drawn = sorted(panel.polylines, key=lambda one: [*STYLES].index(one.kind))
    parts = [
        f'<text class="head" x="8" y="16">{escape(panel.title)}</text>',
        *(_line(one, count) for one in drawn),
        *(_upright(one, _across(place, count)) for place, one in enumerate(panel.uprights)),
    ]
    return (
        f'<div class="panel parallel"><svg class="plot" role="group" tabindex="0" '
        f'aria-label="{escape(title)}" viewBox="0 0 {WIDTH} {HEIGHT}"><title>{escape(title)}</title>'
        f'{"".join(parts)}</svg><ul class="legend">{_legend(panel)}</ul></div>'
    )


def _across(place: int, count: int) -> float:
    return LEFT + (WIDTH - LEFT - RIGHT) * (place / (count - 1) if count > 1 else 0.5)


def _up(place: float) -> float:
    return HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * place


def _upright(one: Upright, x: float) -> str:
    """An axis with its name above and its marks to the left."""
    marks = "".join(
        f'<path class="grid" d="M{x - 4:.1f} {_up(place):.1f}h4"/>'
        f'<text class="tick" x="{x - 7:.1f}" y="{_up(place) + 3:.1f}" text-anchor="end">'
        f"{escape(words)}</text>"
        for place, words in one.marks
    )
    return (
        f'<path class="grid" d="M{x:.1f} {TOP}V{HEIGHT - BOTTOM}"/>{marks}'
        f'<text class="axis" x="{x:.1f}" y="{TOP - 10}" text-anchor="middle">{escape(one.name)}</text>'
    )


def _line(one: Polyline, count: int) -> str:
    """A line with a mark at its end, both of which tell what it is."""
    known = [(_across(i, count), _up(place)) for i, place in enumerate(one.places) if place is not None]
    line, mark, dashes, width = STYLES[one.kind]
    label, (x, y) = escape(one.label), known[-1]
    path = "M" + "L".join(f"{across:.1f} {up:.1f}" for across, up in known)
    return (
        f'<g class="point" tabindex="-1" role="img" aria-label="{label}" data-tip="{label}" '
        f'style="opacity:{strength(one):.2f}"><path class="{line}" style="stroke-width:{width}" '
        f'stroke-dasharray="{dashes}" d="{path}"/>'
        f'<circle class="{mark}" cx="{x:.1f}" cy="{y:.1f}" r="3.5"/></g>'
    )


def strength(one: Polyline) -> float:
    """How opaque a line is: the chosen one wholly, others by their last place."""
    if one.kind == "chosen":
        return 1.0
    return FAINTEST + (1 - FAINTEST) * (one.places[-1] or 0.0)


def _legend(panel: Panel) -> str:
    """The kinds of line that the panel has."""
    kinds = {one.kind for one in panel.polylines}
    return "".join(
        f'<li><svg viewBox="0 0 26 12" aria-hidden="true"><path class="{line}" d="M1 6H25" '
        f'style="stroke-width:{width}" stroke-dasharray="{dashes}"/></svg>{kind}</li>'
        for kind, (line, _, dashes, width) in STYLES.items()
        if kind in kinds
    )
