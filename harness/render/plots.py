"""Figures as SVG and PDF in `figures/`.

Colours are Okabe and Ito's, which colour-blind readers tell apart; dashes and markers differ too,
so that a grey print can be read.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from harness.render._plot_forest import COLOURS, forest
from harness.render._plot_parallel import ROWS, parallel
from harness.tables import Figure, Panel, Report, Upright
from harness.units import FLOPS, unit_of

DASHES = ("-", "--", "-.", ":", (0, (3, 1, 1, 1, 1, 1)), (0, (5, 1)), "-")
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
SETTINGS = {"svg.hashsalt": "orpo-harness", "svg.fonttype": "none", "pdf.fonttype": 42, "font.size": 9}
PRINT = SETTINGS | {"font.size": 8, "font.family": "STIXGeneral", "mathtext.fontset": "stix"}
"""Of a figure that is printed at its size, in a font that goes with Times and Latin Modern."""
HIGHEST = 2.6
"""Inches of a printed figure's panels."""


def render(report: Report, folder: Path) -> list[Path]:
    """Write every figure twice; equal data gives equal files, with no date and no matplotlibrc."""
    target = folder / "figures"
    target.mkdir(parents=True, exist_ok=True)
    paths = []
    for figure in report.figures():
        with _drawing(SETTINGS):
            drawn = _draw(figure)
            for ending, metadata in (("svg", {"Date": None}), ("pdf", {"CreationDate": None})):
                path = target / f"{figure.name}.{ending}"
                drawn.savefig(path, metadata=metadata)
                # The first file lays the figure out; the second takes it as it is.
                drawn.set_layout_engine("none")
                paths.append(path)
    return paths


def render_printed(figures: Sequence[Figure], folder: Path, widths: Mapping[str, float]) -> list[Path]:
    """Write `<name>.pdf` for a page, each as wide as `widths` says in inches, so that no letter is scaled."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for figure in figures:
        with _drawing(PRINT):
            drawn = _draw(figure, widths[figure.name])
            paths.append(folder / f"{figure.name}.pdf")
            drawn.savefig(paths[-1], metadata={"CreationDate": None})
    return paths


@contextmanager
def _drawing(settings: Mapping[str, Any]) -> Iterator[None]:
    import matplotlib

    matplotlib.use("Agg")
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(settings)
        yield


def _as_text(panel: Panel) -> Panel:
    """The panel with words that matplotlib sets as they are: dollars begin no formula, and no letter is one
    that SVG has not."""
    return replace(
        panel,
        title=_words(panel.title),
        x_label=_words(panel.x_label),
        y_label=_words(panel.y_label),
        series=tuple(replace(series, label=_words(series.label)) for series in panel.series),
        x_names=tuple(map(_words, panel.x_names)),
        rows=tuple(replace(row, label=_words(row.label)) for row in panel.rows),
        uprights=tuple(
            Upright(_words(one.name), tuple((place, _words(mark)) for place, mark in one.marks))
            for one in panel.uprights
        ),
    )


def _words(text: str) -> str:
    # A label that begins with an underscore is left out of legends.
    text = "".join(letter if letter.isprintable() or letter == "\n" else "\ufffd" for letter in text)
    return (f"\u200b{text}" if text.startswith("_") else text).replace("$", r"\$")


def _draw(figure: Figure, width: float | None = None) -> Any:
    """The figure at its own size, or as wide as a page asks, in inches."""
    from matplotlib.figure import Figure as Canvas

    figure = replace(figure, panels=tuple(map(_as_text, figure.panels)))

    count = max(len(figure.panels), 1)
    heights = [ROWS if panel.kind == "parallel" else len(panel.rows) for panel in figure.panels]
    rows = sum(heights)
    size = (8.4, 0.2 + 1.0 * count + 0.26 * rows) if rows else (3.6 * count + 0.4, 3.0)
    if width is not None:
        size = (width, 0.1 + 0.75 * count + 0.19 * rows if rows else min(0.72 * width / count, HIGHEST))
    canvas = Canvas(figsize=size, layout="constrained")
    # Wide panels stand below each other: a forest's rows have long names.
    stacked = canvas.add_gridspec(count, 1, height_ratios=[height + 2 for height in heights] or [1])
    for number, panel in enumerate(figure.panels, start=1):
        if panel.kind == "radar":
            _radar(canvas.add_subplot(1, count, number, projection="polar"), panel)
        elif panel.kind == "forest":
            forest(canvas.add_subplot(stacked[number - 1, 0]), panel)
        elif panel.kind == "parallel":
            parallel(canvas.add_subplot(stacked[number - 1, 0]), panel)
        else:
            _panel(canvas.add_subplot(1, count, number), panel)
    return canvas


def _radar(axis: Any, panel: Panel) -> None:
    """A closed outline a series, the first spoke at the top."""
    from math import sin, tau

    count = len(panel.x_names)
    angles = [tau * i / count for i in range(count)]
    for index, series in enumerate(panel.series):
        style = index % len(COLOURS)
        axis.plot(
            [*angles, angles[0]],
            [*series.y, series.y[0]],
            color=COLOURS[style],
            linestyle=DASHES[style],
            marker=MARKERS[style],
            markersize=3.5,
            linewidth=1.4,
            label=series.label,
        )
    axis.set_theta_zero_location("N")
    axis.set_theta_direction(-1)
    axis.set_xticks(angles, panel.x_names, fontsize=8)
    for angle, label in zip(angles, axis.get_xticklabels(), strict=True):
        # Names stand outside the circle: to the right of it on the right side, to the left on the left.
        across = round(sin(angle), 6)
        label.set_horizontalalignment("left" if across > 0 else "right" if across < 0 else "center")
    axis.set_ylim(bottom=0)
    axis.tick_params(axis="y", labelsize=7)
    axis.set_title(panel.title)
    axis.legend(frameon=False, fontsize=8, loc="upper left", bbox_to_anchor=(1.05, 1.1))


def _panel(axis: Any, panel: Panel) -> None:
    for index, series in enumerate(panel.series):
        style = index % len(COLOURS)
        if panel.kind == "scatter":
            axis.scatter(
                series.x,
                series.y,
                color=COLOURS[style],
                marker=MARKERS[style],
                label=series.label,
                s=20,
                alpha=0.6,
            )
            if series.centre is not None:
                _mean(axis, series.centre, style)
            continue
        axis.plot(
            series.x,
            series.y,
            color=COLOURS[style],
            linestyle=DASHES[style],
            marker=MARKERS[style],
            markersize=3.5,
            linewidth=1.4,
            zorder=10 - index,
            label=series.label,
        )
        for place in series.breaks:
            axis.axvline(place, color=COLOURS[style], linewidth=0.8, linestyle=(0, (2, 4)))
        if series.low and series.low != series.high:
            axis.fill_between(
                series.x, series.low, series.high, color=COLOURS[style], alpha=0.15, linewidth=0
            )
    axis.set(title=panel.title, xlabel=_x_axis(axis, panel), ylabel=_y_axis(axis, panel))
    if panel.log_x:
        axis.set_xscale("log")
    axis.spines[["top", "right"]].set_visible(False)
    axis.grid(alpha=0.25, linewidth=0.5)
    if panel.series:
        axis.legend(frameon=False, fontsize=8)


def _mean(axis: Any, centre: tuple[float, float, float, float], style: int) -> None:
    """A cloud's mean with its interval."""
    x, y, low, high = centre
    marker, colour = MARKERS[style], COLOURS[style]
    ends = [[y - low], [high - y]]
    axis.errorbar([x], [y], yerr=ends, marker=marker, color=colour, markersize=8, capsize=3)


def _x_axis(axis: Any, panel: Panel) -> str:
    """The axis' label; FLOPs are shown in one unit, named in it."""
    largest = max((x for series in panel.series for x in series.x), default=0.0)
    if panel.x_kind == "count":
        axis.xaxis.get_major_locator().set_params(integer=True)
    if panel.x_kind != "flops":
        return panel.x_label
    size, unit = unit_of(largest, FLOPS)
    axis.xaxis.set_major_formatter(lambda value, _: f"{value / size:g}")
    return f"{panel.x_label} ({unit})"


def _y_axis(axis: Any, panel: Panel) -> str:
    """The axis' label; shares are shown in percent, as in tables."""
    if panel.y_kind != "percent":
        return panel.y_label
    axis.yaxis.set_major_formatter(lambda value, _: f"{100 * value:g}")
    return f"{panel.y_label} (%)"
