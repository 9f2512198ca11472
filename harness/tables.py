"""Table and Figure: what evidence says, before any format. Renderers know nothing else."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import groupby
from typing import Literal

CellKind = Literal["text", "seconds", "bytes", "flops", "joules", "percent", "points", "number", "count"]
LineKind = Literal["chosen", "finished", "ended early", "no score"]
"""How a trial ended, or that it was the one to be chosen."""


@dataclass(frozen=True)
class About:
    """What a figure is of: a metric (`preference.accuracy`) or quantity (`flops`), an arm, and a seed where
    it is of one alone. A stage that arms share is of the arm that it is named after."""

    metric: str
    arm: str | None = None
    seed: int | None = None


@dataclass(frozen=True)
class Cell:
    """One table cell.

    `value` is in base units (seconds, bytes, FLOPs, joules, a ratio for percent: 1.0 = 100%, a difference
    of two such ratios for points: 1.0 = 100 points); None shows `reason`, and is nothing that was missed
    unless it `applies`. `low` and `high` bound its interval; where a value should have one and has none,
    `no_interval` says why. `sources` are stage digests.
    `bold` only where the value is separable from its rivals. `about` is known for figures of arms.
    """

    value: float | int | str | None
    kind: CellKind = "text"
    low: float | None = None
    high: float | None = None
    digits: int | None = None
    bold: bool = False
    reason: str | None = None
    sources: tuple[str, ...] = ()
    applies: bool = True
    no_interval: str | None = None
    about: About | None = None


@dataclass(frozen=True)
class Table:
    """`rows` hold as many cells as `columns`; `notes` stand under the table.

    One that is `folded` is closed at first where a format can.
    """

    name: str
    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    notes: tuple[str, ...] = ()
    folded: bool = False

    def __post_init__(self) -> None:
        for row in self.rows:
            assert len(row) == len(self.columns), f"table {self.name}: ragged row"


@dataclass(frozen=True)
class Series:
    """One labelled line or cloud; `low` and `high` are as long as `y`, or empty.

    `breaks` are the x at which a stage ends and the next begins; `centre` is a cloud's mean, as x, y and the
    ends of the interval in y.
    """

    label: str
    x: tuple[float, ...]
    y: tuple[float, ...]
    low: tuple[float, ...] = ()
    high: tuple[float, ...] = ()
    breaks: tuple[float, ...] = ()
    centre: tuple[float, float, float, float] | None = None


@dataclass(frozen=True)
class ForestRow:
    """One row of a forest: a value with its interval, None where it has none.

    `weight` is a run's share in the combined value, None for a run that is no part of it. A prediction is
    drawn as its interval alone, an answer on the band of its `margins`, from lowest to highest.
    """

    label: str
    value: float
    low: float | None
    high: float | None
    weight: float | None = None
    kind: Literal["run", "combined", "prediction", "answer"] = "run"
    margins: tuple[float, float] | None = None


@dataclass(frozen=True)
class Upright:
    """One upright axis of parallel coordinates: its marks are places, from 0 at its foot to 1, and words."""

    name: str
    marks: tuple[tuple[float, str], ...]


@dataclass(frozen=True)
class Polyline:
    """One line across upright axes: its place on each, None where it ends before; `label` tells all of it.

    The higher its last place, the stronger it is drawn.
    """

    label: str
    places: tuple[float | None, ...]
    kind: LineKind = "finished"


@dataclass(frozen=True)
class Panel:
    """One pair of axes of a figure; a radar's x counts its spokes, which `x_names` names.

    Shares on the y axis (`y_kind` percent) are shown in percent, as tables show them.
    A forest has `rows` from top to bottom in place of series, values along x, and a line at `neutral`; its
    figures have so many `digits`. Parallel coordinates have `uprights` from left to right, and `polylines`.
    """

    title: str
    x_label: str
    y_label: str
    series: tuple[Series, ...]
    kind: Literal["line", "scatter", "radar", "forest", "parallel"] = "line"
    log_x: bool = False
    x_kind: CellKind = "number"
    y_kind: CellKind = "number"
    x_names: tuple[str, ...] = ()
    rows: tuple[ForestRow, ...] = ()
    neutral: float = 0.0
    digits: int = 3
    uprights: tuple[Upright, ...] = ()
    polylines: tuple[Polyline, ...] = ()

    @property
    def is_wide(self) -> bool:
        """Whether it takes a page's width, so that panels of its kind stand below each other."""
        return self.kind in ("forest", "parallel")


@dataclass(frozen=True)
class Figure:
    """Panels side by side, with one caption."""

    name: str
    title: str
    panels: tuple[Panel, ...]
    caption: str = ""
    sources: tuple[str, ...] = ()

    @property
    def has_series(self) -> bool:
        """Whether there is anything to show."""
        return any(panel.series or panel.rows or panel.polylines for panel in self.panels)


@dataclass(frozen=True)
class Section:
    """A heading with paragraphs, tables and figures, in this order.

    Sections of one `part` stand together and are folded where a format can, with a `teaser` of what is in
    them; without a part they are open.
    """

    title: str
    paragraphs: tuple[str, ...] = ()
    tables: tuple[Table, ...] = ()
    figures: tuple[Figure, ...] = ()
    part: str = ""
    teaser: str = ""


@dataclass(frozen=True)
class FirstPage:
    """What is read before all else: the question, a short line an answer, what makes them less sure, and
    what to do next. The sections without a part stand below it."""

    question: str
    answers: tuple[str, ...]
    warnings: tuple[str, ...]
    next_steps: tuple[str, ...] = ()


@dataclass(frozen=True)
class Macro:
    """A figure by a name of letters alone, for prose."""

    name: str
    cell: Cell


@dataclass(frozen=True)
class Statement:
    """A sentence or more on how it was done; `cites` are keys of references."""

    text: str
    cites: tuple[str, ...] = ()


@dataclass(frozen=True)
class Reference:
    """An entry of the bibliography, in BibTeX."""

    key: str
    bibtex: str


@dataclass(frozen=True)
class Reply:
    """One arm's answer, with its scores on this item, who judged, and what the judge wrote."""

    arm: str
    text: str
    marks: tuple[tuple[str, float], ...] = ()
    judge: str | None = None
    judgment: str | None = None


@dataclass(frozen=True)
class Exchange:
    """A prompt and every arm's answer; `outcomes` are (`a against b by metric`, won, lost or tied)."""

    id: str
    prompt: str
    replies: tuple[Reply, ...]
    outcomes: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Report:
    """All that a report says; `data` is the content of comparison.json.

    `summary` has the answers in full sentences, `first` in short ones.
    """

    title: str
    summary: tuple[str, ...]
    sections: tuple[Section, ...]
    data: dict[str, object] = field(default_factory=dict)
    exchanges: tuple[Exchange, ...] = ()
    methods: tuple[Statement, ...] = ()
    references: tuple[Reference, ...] = ()
    first: FirstPage | None = None

    def parts(self) -> list[tuple[str, list[Section]]]:
        """Sections that follow each other and are of one part, with its name."""
        return [(part, [*sections]) for part, sections in groupby(self.sections, key=lambda one: one.part)]

    def tables(self) -> list[Table]:
        """Every table, in order."""
        return [t for s in self.sections for t in s.tables]

    def figures(self) -> list[Figure]:
        """Every figure, in order."""
        return [f for s in self.sections for f in s.figures]


@dataclass(frozen=True)
class Paper:
    """What goes into a paper: compact tables, figures by name for prose, how it was done, and what is cited.

    A table's heading may have several lines; its title and notes are its caption. A row that begins with an
    empty cell belongs to the row before.
    """

    title: str
    tables: tuple[Table, ...]
    macros: tuple[Macro, ...]
    methods: tuple[Statement, ...]
    references: tuple[Reference, ...]
    figures: tuple[Figure, ...] = ()
