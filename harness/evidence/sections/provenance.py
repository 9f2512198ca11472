"""Provenance: the stages that wrote the figures, and where they ran."""

from __future__ import annotations

from harness.evidence.findings import Findings
from harness.evidence.view import BASE, ComparisonView
from harness.records import Environment
from harness.tables import Cell, Section, Table


def section(findings: Findings) -> Section:
    """Every stage."""
    return Section("Provenance", (), (provenance_table(findings.view),))


def provenance_table(view: ComparisonView) -> Table:
    """Which stage stands behind the figures of which arms, and where it ran."""
    rows, arms = [], _arms(view)
    for digest in view.record.plan.order:
        stage = view.record.results.get(digest)
        if stage is not None:
            rows.append(
                (
                    Cell(stage.name),
                    Cell(stage.kind),
                    Cell(", ".join(arms.get(digest, ())) or "all"),
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
        ("stage", "kind", "of arms", "digest", "finished", "commit", "packages"),
        tuple(rows),
        (
            f"Run {view.record.id}. Each stage's folder is stages/<digest>; in CSV and "
            "JSON every figure carries its digests.",
            f"Ran on {'; '.join(places)}.",
        ),
    )


def _arms(view: ComparisonView) -> dict[str, list[str]]:
    """Digest -> the arms whose costs or scores rest on it; a judge's stage is of every arm that it judged."""
    found: dict[str, list[str]] = {}
    for arm in (BASE, *view.arms):
        trained = [digest for cell in view.cells_of(arm) for digest in cell.stages]
        scored = [digest for metric in view.metrics() for digest in view.score_sources(arm, metric)]
        for digest in dict.fromkeys((*trained, *scored)):
            found.setdefault(digest, []).append(arm)
    return found


def _place(environment: Environment) -> str:
    """The device by name, a GPU by its UUID too, and whether the run could have taken another."""
    if environment.device == "cpu":
        return environment.device_name
    others = f", {environment.other_gpus} other visible GPUs not used" if environment.other_gpus else ""
    return f"{environment.device_name} ({environment.gpu_uuid or 'no UUID known'}{others})"
