"""Parallel coordinates as a file is drawn: an upright axis a setting, the last one the score."""

from __future__ import annotations

from typing import Any

from harness.render._parallel import strength
from harness.render._plot_forest import COLOURS
from harness.tables import Panel

ROWS = 7
"""The height of a panel, in rows of a forest."""
STYLES: dict[str, tuple[str, Any, float]] = {
    "finished": (COLOURS[0], "-", 1.2),
    "ended early": (COLOURS[2], "--", 1.2),
    "no score": (COLOURS[6], ":", 1.0),
    "chosen": (COLOURS[1], "-", 2.6),
}
"""Colour, dashes and width by kind, in the order in which they are drawn."""


def parallel(axis: Any, panel: Panel) -> None:
    """A line a trial from the left to its score, with a legend of the kinds that there are."""
    named = set()
    for one in sorted(panel.polylines, key=lambda line: [*STYLES].index(line.kind)):
        colour, dashes, width = STYLES[one.kind]
        known = [(x, place) for x, place in enumerate(one.places) if place is not None]
        label = None if one.kind in named else one.kind
        named.add(one.kind)
        axis.plot(
            *zip(*known, strict=True),
            color=colour,
            linestyle=dashes,
            linewidth=width,
            alpha=strength(one),
            marker="o",
            markersize=3,
            markevery=[-1],
            label=label,
        )
    for x, upright in enumerate(panel.uprights):
        axis.axvline(x, color="0.6", linewidth=0.8, zorder=0)
        for place, words in upright.marks:
            axis.annotate(
                words,
                (x, place),
                (-4, 0),
                textcoords="offset points",
                ha="right",
                va="center",
                fontsize=7,
                bbox={"facecolor": "white", "alpha": 0.7, "linewidth": 0, "pad": 0.5},
            )
    axis.set_xticks(range(len(panel.uprights)), [one.name for one in panel.uprights], fontsize=8)
    axis.xaxis.tick_top()
    axis.tick_params(axis="x", length=0)
    axis.set_yticks([])
    axis.set_ylim(-0.05, 1.05)
    axis.set_xlim(-0.3, len(panel.uprights) - 0.9)
    axis.spines[["top", "right", "left", "bottom"]].set_visible(False)
    axis.set_title(panel.title, loc="left", fontsize=9)
    legend = axis.legend(frameon=False, fontsize=8, loc="center left", bbox_to_anchor=(1.0, 0.5))
    for handle in legend.legend_handles:
        handle.set_alpha(1.0)
