"""A forest as inline SVG: a row a run or answer, combined values as diamonds, predictions as lines."""

from __future__ import annotations

from html import escape

from harness.render._scales import Scale, ratio_ticks, scale, ticks
from harness.tables import ForestRow, Panel
from harness.units import forest_words

WIDTH, ROW, TOP, BOTTOM = 860, 22, 34, 44
LEFT, RIGHT, WEIGHT = 310, 210, 60
CHARACTERS = 52
"""A label's characters that fit left of the plot; the tip has the whole."""


def forest(panel: Panel, title: str) -> str:
    """The panel as one `<svg>`, as high as its rows need, with its figures in words on the right."""
    bottom = TOP + ROW * len(panel.rows)
    ends = [
        v for row in panel.rows for v in (row.value, row.low, row.high, *(row.margins or ())) if v is not None
    ]
    low, high = min(*ends, panel.neutral), max(*ends, panel.neutral)
    across = scale(low, high, LEFT, WIDTH - RIGHT, log=panel.log_x)
    largest = max((row.weight for row in panel.rows if row.weight), default=1.0)
    marks = ratio_ticks(low, high) if panel.log_x else ticks(low, high)
    parts = [
        f'<text class="head" x="8" y="16">{escape(panel.title)}</text>',
        *(_tick(across(value), f"{value:.4g}", bottom) for value in marks),
        f'<path class="s6" style="stroke-width:1" stroke-dasharray="4 3" '
        f'd="M{across(panel.neutral):.1f} {TOP - 6}V{bottom}"/>',
        *(
            _row(row, TOP + ROW * (n + 0.5), across, largest, panel.digits)
            for n, row in enumerate(panel.rows)
        ),
        f'<text class="axis" x="{(LEFT + WIDTH - RIGHT) / 2:.0f}" y="{bottom + 36}" text-anchor="middle">'
        f"{escape(panel.x_label)}</text>",
    ]
    return (
        f'<div class="panel forest"><svg class="plot" role="group" '
        f'tabindex="0" aria-label="{escape(title)}" viewBox="0 0 {WIDTH} {bottom + BOTTOM}">'
        f"<title>{escape(title)}</title>{''.join(parts)}</svg></div>"
    )


def _tick(x: float, text: str, bottom: float) -> str:
    return (
        f'<path class="grid" d="M{x:.1f} {TOP - 6}V{bottom}"/>'
        f'<text class="tick" x="{x:.1f}" y="{bottom + 16}" text-anchor="middle">{text}</text>'
    )


def _row(row: ForestRow, y: float, across: Scale, largest: float, digits: int) -> str:
    figures, weight = map(escape, forest_words(row, digits))
    short = row.label if len(row.label) <= CHARACTERS else row.label[: CHARACTERS - 1] + "\u2026"
    tip = f"{escape(row.label)}: {figures} {weight}".rstrip()
    return (
        f'<text x="8" y="{y + 4:.1f}">{escape(short)}</text>'
        f'<g class="point" tabindex="-1" role="img" aria-label="{tip}" data-tip="{tip}">'
        f"{_marks(row, y, across, largest)}</g>"
        f'<text x="{WIDTH - WEIGHT}" y="{y + 4:.1f}" text-anchor="end">{figures}</text>'
        f'<text x="{WIDTH - 8}" y="{y + 4:.1f}" text-anchor="end">{weight}</text>'
    )


def _marks(row: ForestRow, y: float, across: Scale, largest: float) -> str:
    low, middle, high = (across(row.value if v is None else v) for v in (row.low, row.value, row.high))
    if row.kind == "combined":
        return (
            f'<path class="f1" d="M{low:.1f} {y}L{middle:.1f} {y - 7}L{high:.1f} {y}L{middle:.1f} {y + 7}Z"/>'
        )
    if row.kind == "prediction":
        return f'<path class="s2" style="stroke-width:4" d="M{low:.1f} {y}H{high:.1f}"/>'
    line = f'<path class="s0" d="M{low:.1f} {y}H{high:.1f}"/>'
    if row.kind == "answer":
        return f'{_band(row, y, across)}{line}<circle class="f0" cx="{middle:.1f}" cy="{y}" r="4"/>'
    if row.weight is None:
        return f'{line}<circle class="s0" style="fill:none" cx="{middle:.1f}" cy="{y}" r="3.5"/>'
    side = 5 + 7 * (row.weight / largest) ** 0.5
    corner = f'x="{middle - side / 2:.1f}" y="{y - side / 2:.1f}"'
    return f'{line}<rect class="f0" {corner} width="{side:.1f}" height="{side:.1f}"/>'


def _band(row: ForestRow, y: float, across: Scale) -> str:
    """The margin, as far as it goes."""
    if row.margins is None:
        return ""
    low, high = map(across, row.margins)
    return (
        f'<rect class="margin" x="{low:.1f}" y="{y - ROW / 2 + 2:.1f}" width="{high - low:.1f}" '
        f'height="{ROW - 4}"/>'
    )
