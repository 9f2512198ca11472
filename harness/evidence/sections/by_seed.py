"""Scores seed by seed: what stands behind the means, for reviewers and notebooks."""

from __future__ import annotations

from harness.evidence.cells import score_format
from harness.evidence.view import ComparisonView
from harness.tables import About, Cell, Table


def by_seed_table(view: ComparisonView) -> Table | None:
    """One row a metric and arm, one column a seed; None at one seed, whose scores stand above."""
    if len(view.seeds) < 2:
        return None
    rows = tuple(
        (Cell(metric), Cell(arm), *(_cell(view, arm, metric, seed) for seed in view.seeds))
        for metric in view.metrics()
        for arm in view.arms
        if view.rival_of(metric) != arm and view.item_means(arm, metric)
    )
    columns = ("metric", "arm", *(f"seed {seed}" for seed in view.seeds))
    return Table("scores_by_seed", "Scores by seed", columns, rows, folded=True)


def _cell(view: ComparisonView, arm: str, metric: str, seed: int) -> Cell:
    """The mean over the items of one seed."""
    about, key = About(metric, arm, seed), f"{arm}@{seed}"
    table = view.items.get(key, {}).get(metric)
    if not table:
        return Cell(None, reason=view.why_unscored(arm, metric), about=about)
    kind, digits = score_format(metric)
    digest = view.digest_of(key, metric)
    return Cell(
        sum(table.values()) / len(table),
        kind,
        digits=digits,
        sources=(digest,) if digest else (),
        about=about,
    )
