"""What the figures rest on: parity, the data, and the stages that wrote them."""

from __future__ import annotations

from collections.abc import Iterable

from harness.evidence.view import ComparisonView
from harness.tables import Cell, Table


def parity_table(view: ComparisonView) -> Table:
    """What was equal across arms and what was not."""
    words = {True: "equal", False: "NOT equal", None: "unknown"}
    rows = tuple(
        (Cell(c.check), Cell(words[c.equal], bold=c.equal is False), Cell(c.detail))
        for c in view.record.parity
    )
    return Table("parity", "Parity across arms", ("check", "result", "detail"), rows)


def data_table(view: ComparisonView) -> Table:
    """Numbers of the data set, both splits."""
    statistics = view.prepared.statistics
    rows = []
    for split, part in (("train", statistics.train), ("test", statistics.test)):
        lengths = (part.prompt_tokens, part.chosen_tokens, part.rejected_tokens)
        rows.append(
            (
                Cell(split),
                Cell(part.pairs_read, "count"),
                Cell(part.pairs_kept, "count"),
                Cell(part.truncated, "count"),
                Cell(", ".join(f"{n} {reason}" for reason, n in part.dropped.items()) or "none"),
                Cell(part.duplicate_pairs, "count"),
                *(Cell(f"{q.median:.0f} / {q.max:.0f}" if q else None, reason="no pairs") for q in lengths),
            )
        )
    columns = (
        "split",
        "pairs read",
        "kept",
        "truncated",
        "dropped",
        "duplicates",
        "prompt tokens",
        "chosen tokens",
        "rejected tokens",
    )
    overlap = statistics.test_pairs_whose_prompt_is_in_train
    return Table(
        "data",
        "Data",
        columns,
        tuple(rows),
        (
            f"Source: {view.source}. Test split: {statistics.test_origin}. "
            f"Token lengths: median / maximum. Test pairs whose prompt is in train: {overlap}"
            f" ({statistics.test_pairs_dropped_for_a_prompt_in_train or 0} were dropped).",
        ),
    )


def sources_table(view: ComparisonView) -> Table:
    """Which stages stand behind the figures of each arm, in every table."""
    rows = []
    for arm in ("base", *view.arms):
        trained = [d for c in view.cells_of(arm) for d in c.stages]
        scored = [d for m in view.metrics() if view.rival_of(m) is None for d in view.score_sources(arm, m)]
        judged = [d for m in view.metrics() if view.rival_of(m) for d in view.score_sources(arm, m)]
        rows.append((Cell(arm), *(_digests(found) for found in (trained, scored, judged))))
    return Table(
        "sources",
        "Where the figures of an arm come from",
        ("arm", "costs and log-probs", "scores", "win rates"),
        tuple(rows),
        (f"Digests of stages of run {view.record.id}; an arm against another rests on both rows.",),
    )


def _digests(found: Iterable[str]) -> Cell:
    distinct = tuple(dict.fromkeys(found))
    return Cell(" ".join(distinct) or None, reason="no stage of this kind", sources=distinct)


def provenance_table(view: ComparisonView) -> Table:
    """Which stage stands behind which row, and where it ran."""
    rows = []
    for digest in view.record.plan.order:
        stage = view.record.results.get(digest)
        if stage is not None:
            rows.append(
                (
                    Cell(stage.name),
                    Cell(stage.kind),
                    Cell(digest),
                    Cell(stage.finished_at[:19] + "Z"),
                    Cell((stage.environment.git_commit or "no git checkout")[:12]),
                    Cell(stage.environment.lock_digest or "unknown"),
                )
            )
    return Table(
        "provenance",
        "Provenance",
        ("stage", "kind", "digest", "finished", "commit", "packages"),
        tuple(rows),
        (
            f"Run {view.record.id}. Each stage's folder is stages/<digest>; in CSV and "
            "JSON every figure carries its digests.",
        ),
    )
