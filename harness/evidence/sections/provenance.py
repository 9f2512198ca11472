"""Provenance: the stages that wrote the figures, and where they ran."""

from __future__ import annotations

from collections.abc import Iterable

from harness.evidence.findings import Findings
from harness.evidence.view import BASE, ComparisonView
from harness.records import Environment
from harness.tables import Cell, Section, Table


def section(findings: Findings) -> Section:
    """Which stages stand behind an arm's figures, and every stage."""
    view = findings.view
    return Section("Provenance", (), (sources_table(view), provenance_table(view)))


def sources_table(view: ComparisonView) -> Table:
    """Which stages stand behind the figures of each arm, in every table."""
    rows = []
    for arm in (BASE, *view.arms):
        trained = [d for c in view.cells_of(arm) for d in c.stages]
        scored = [d for m in view.metrics() if view.rival_of(m) is None for d in view.score_sources(arm, m)]
        judged = [d for m in view.metrics() if view.rival_of(m) for d in view.score_sources(arm, m)]
        rows.append((Cell(arm), *(_digests(digests) for digests in (trained, scored, judged))))
    return Table(
        "sources",
        "Where the figures of an arm come from",
        ("arm", "costs and log-probs", "scores", "win rates"),
        tuple(rows),
        (f"Digests of stages of run {view.record.id}; an arm against another rests on both rows.",),
    )


def _digests(digests: Iterable[str]) -> Cell:
    distinct = tuple(dict.fromkeys(digests))
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
    results = view.record.results.values()
    measured = [stage for stage in results if stage.kind in ("train", "evaluate")] or results
    places = dict.fromkeys(_place(stage.environment) for stage in measured)
    return Table(
        "provenance",
        "Provenance",
        ("stage", "kind", "digest", "finished", "commit", "packages"),
        tuple(rows),
        (
            f"Run {view.record.id}. Each stage's folder is stages/<digest>; in CSV and "
            "JSON every figure carries its digests.",
            f"Ran on {'; '.join(places)}.",
        ),
    )


def _place(environment: Environment) -> str:
    """The device by name, a GPU by its UUID too, and whether the run could have taken another."""
    if environment.device == "cpu":
        return environment.device_name
    others = f", {environment.other_gpus} other visible GPUs not used" if environment.other_gpus else ""
    return f"{environment.device_name} ({environment.gpu_uuid or 'no UUID known'}{others})"
