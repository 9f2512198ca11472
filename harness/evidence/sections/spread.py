"""Where the differences of the two primary arms vary, and what they are without seeds that diverged."""

from __future__ import annotations

from harness.evidence.cells import difference_cell
from harness.evidence.contrasts import score_contrast, seed_differences, without_seeds
from harness.evidence.diverged import diverged_seeds
from harness.evidence.findings import Findings
from harness.evidence.primary import Primary
from harness.evidence.statistics.components import components
from harness.evidence.view import ComparisonView
from harness.tables import Cell, Section, Table

NO_SEEDS, NO_CLUSTERS = "one seed", "items share nothing"


def section(findings: Findings) -> Section | None:
    """None where no two arms were scored on the same items."""
    pair, view = findings.primary, findings.view
    if pair is None or view.random_weights or not view.metrics():
        return None
    tables = [components_table(view, pair)]
    seeds = [] if view.replayed else diverged_seeds(view, pair.a, pair.b)
    sentences: tuple[str, ...] = ()
    if seeds:
        tables.append(without_table(view, pair, seeds))
        sentences = (_diverged(seeds, pair, findings.titles),)
    kept = tuple(table for table in tables if table.rows)
    return Section("Where the differences vary", sentences, kept) if kept else None


def _diverged(seeds: list[int], pair: Primary, titles: dict[str, str]) -> str:
    listed = ", ".join(str(seed) for seed in seeds)
    return (
        f"Training of {titles[pair.a]} or {titles[pair.b]} diverged at seed {listed}: a loss was not finite, "
        "or the losses at its end lay above those at its start by more than their range and by half. "
        "Intervals over seeds that hold such a seed cover too seldom; the differences stand below with and "
        "without it."
    )


def components_table(view: ComparisonView, pair: Primary) -> Table:
    """One row a metric: standard deviations of one item's difference a - b."""
    rows = []
    for metric in view.metrics():
        by_seed = seed_differences(view, metric, pair.a, pair.b)
        found = components(by_seed, view.clusters_of(metric))
        if found is None:
            continue
        why = {"seed": NO_SEEDS, "cluster": NO_CLUSTERS, "rest": "one seed: part of the items' spread"}
        cells = (
            Cell(getattr(found, name), "number", digits=3, reason=why.get(name))
            for name in ("seed", "cluster", "item", "rest")
        )
        rows.append((Cell(metric), Cell(len(by_seed), "count"), *cells))
    columns = ("metric", "seeds", "between seeds", "between clusters", "between items", "rest")
    note = (
        f"Standard deviations of the difference {pair.a} - {pair.b} of one item at one seed, of the items "
        "that every seed has. Where seeds vary most, more seeds make the answer surer; where items do, more "
        "items. Clusters are items that share a question or a prompt."
    )
    return Table("components", "Where the differences vary", columns, tuple(rows), (note,))


def without_table(view: ComparisonView, pair: Primary, seeds: list[int]) -> Table:
    """One row a metric: the difference with all seeds, and without those that diverged."""
    rest = without_seeds(view, seeds)
    rows = []
    for metric in view.metrics():
        every, some = (score_contrast(one, metric, pair.a, pair.b) for one in (view, rest))
        if every is None:
            continue
        without = (
            Cell(None, reason="no other seed")
            if some is None
            else difference_cell(metric, some.estimate, some.sources)
        )
        rows.append((Cell(metric), difference_cell(metric, every.estimate, every.sources), without))
    columns = ("metric", "all seeds", f"without {', '.join(str(seed) for seed in seeds)}")
    note = f"Differences {pair.a} - {pair.b}; the registered answers are those of all seeds."
    return Table("diverged", "With and without seeds that diverged", columns, tuple(rows), (note,))
