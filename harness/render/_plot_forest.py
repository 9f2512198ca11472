"""A forest as a file is drawn: a row a run or answer, its figures along the right side."""

from __future__ import annotations

import re
from typing import Any

from harness.render._scales import ratio_ticks
from harness.tables import Panel
from harness.units import forest_words

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
_MINUS = re.compile(r"(?<![\w.])-(?=\d)")


def forest(axis: Any, panel: Panel) -> None:
    """Runs as squares as large as their weight, the combined value as a diamond, a prediction as a line."""
    largest = max((row.weight for row in panel.rows if row.weight), default=1.0)
    for place, row in enumerate(panel.rows):
        low, high = (row.value if end is None else end for end in (row.low, row.high))
        if row.kind == "combined":
            axis.fill([low, row.value, high, row.value], [place, place - 0.3, place, place + 0.3], COLOURS[1])
            continue
        bar = {"linewidth": 2.5, "color": COLOURS[2]} if row.kind == "prediction" else {"linewidth": 1.2}
        axis.plot([low, high], [place, place], **{"color": COLOURS[0], **bar}, solid_capstyle="butt")
        if row.kind == "run":
            side = 4.0 + 4.0 * ((row.weight or 0.0) / largest) ** 0.5
            style = (
                {"marker": "s", "markersize": side} if row.weight else {"marker": "o", "fillstyle": "none"}
            )
            axis.plot([row.value], [place], color=COLOURS[0], **style)
        if row.kind == "answer":
            axis.plot([row.value], [place], color=COLOURS[0], marker="o", markersize=5)
            if row.margins:
                start, end = row.margins
                axis.barh(place, end - start, left=start, height=0.7, color="0.9", zorder=-1)
    axis.axvline(panel.neutral, color="0.35", linewidth=0.8, linestyle="--", zorder=0)
    axis.set_ylim(len(panel.rows) - 0.4, -0.6)
    axis.set_yticks(range(len(panel.rows)), [row.label for row in panel.rows], fontsize=8)
    _forest_figures(axis, panel)
    axis.set(title=panel.title, xlabel=panel.x_label)
    if panel.log_x:
        _ratio_axis(axis)
    axis.spines[["top", "right", "left"]].set_visible(False)
    axis.tick_params(axis="y", length=0)


def _forest_figures(axis: Any, panel: Panel) -> None:
    """Values, intervals and weights in figures along the right side."""
    beside = axis.twinx()
    beside.set_ylim(axis.get_ylim())
    told = ("   ".join(part for part in forest_words(row, panel.digits) if part) for row in panel.rows)
    words = [_MINUS.sub("\u2212", text) for text in told]
    beside.set_yticks(range(len(panel.rows)), words, fontsize=8)
    beside.tick_params(axis="y", length=0)
    beside.spines[["top", "right", "left"]].set_visible(False)


def _ratio_axis(axis: Any) -> None:
    """A logarithmic axis with the marks that the page has."""
    from matplotlib.ticker import FixedLocator, NullLocator

    axis.set_xscale("log")
    axis.xaxis.set_major_locator(FixedLocator(ratio_ticks(*axis.get_xlim())))
    axis.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axis.xaxis.set_minor_locator(NullLocator())
