"""What an export loses: its scores against those of the weights that were trained, item by item."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from harness.evidence.cells import difference_cell, score_cell
from harness.evidence.contrasts import Contrast, score_contrast
from harness.evidence.view import ComparisonView
from harness.quantities import is_share
from harness.tables import Cell, Table

COLUMNS = ("score", "trained", "exported", "difference", "items", "verdict")


@dataclass(frozen=True)
class Loss:
    """One score of the export against the trained weights; `verdict` is None where no margin holds for it."""

    contrast: Contrast
    verdict: str | None


def losses(view: ComparisonView, trained: str, export: str, margin: float) -> list[Loss]:
    """Every score that both have items of, the export minus the trained weights.

    A share is not worse where its interval, whose lower end is that of a one-sided test at 2.5%, lies above
    `-margin`. The interval is about items like these: there is one training.
    """
    found = []
    for metric in view.metrics():
        contrast = score_contrast(view, metric, export, trained)
        if contrast is not None:
            judged = is_share(metric) and view.higher_is_better(metric)
            found.append(Loss(contrast, _verdict(contrast, margin) if judged else None))
    return found


def _verdict(contrast: Contrast, margin: float) -> str:
    estimate = contrast.estimate
    if estimate.identical:
        return "identical on every item"
    if estimate.low is None or estimate.high is None:
        return f"not judged: {estimate.reason}"
    if estimate.low > -margin:
        return f"not worse within {margin:.1%}"
    return f"worse by more than {margin:.1%}" if estimate.high < -margin else "not shown to be within it"


def loss_table(
    view: ComparisonView, trained: str, export: str, found: Sequence[Loss], margin: float
) -> Table:
    """A row a score."""
    rows = tuple(
        (
            Cell(one.contrast.quantity),
            score_cell(view, trained, one.contrast.quantity),
            score_cell(view, export, one.contrast.quantity),
            difference_cell(one.contrast.quantity, one.contrast.estimate, one.contrast.sources),
            Cell(one.contrast.estimate.n, "count"),
            Cell(one.verdict or one.contrast.verdict.text),
        )
        for one in found
    )
    note = (
        "Difference: exported minus trained, paired by item, with its 95% interval about items like these; "
        f"one seed, so nothing is said of other trainings. Margin of shares, given before: {margin:.1%}."
    )
    return Table("export", "What the export loses", COLUMNS, rows, (note,))
