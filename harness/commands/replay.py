"""`harness replay`: outputs and judgments that exist already, straight to scores and report."""

from __future__ import annotations

import hashlib
import re
import shutil
import tempfile
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from harness import registry
from harness.benchmarks import ReadsResults, load_benchmark
from harness.commands import report as report_command
from harness.commands.closing import print_closing
from harness.errors import UserError, unknown_name
from harness.measure.environment import collect
from harness.pipeline.covers import digest_of
from harness.pipeline.spec_model import plain_name
from harness.records import (
    ComparisonRecord,
    Facts,
    JudgeFacts,
    Plan,
    PlannedCell,
    PlannedStage,
    ReplayFacts,
    Score,
    StageKind,
    StageRequest,
    StageResult,
    StageUse,
)
from harness.running.execute import typed_command
from harness.running.queues import write as write_tracker
from harness.sealed import write_sealed
from harness.store.run_dir import RunRoot
from harness.terminal import PlainConsole
from harness.tracking import check_installed


def run(folder: Path, *, out: Path, name: str | None, baseline: str | None, mlflow: bool) -> int:
    """Score every arm that some benchmark recognises in `folder`, and write the report."""
    if not folder.is_dir():
        raise UserError("no such folder", where=str(folder), remedy="give a folder of published results")
    check_installed(["mlflow"] if mlflow else [])
    root, console, run_name = RunRoot(out), PlainConsole(), _name(name, folder.resolve())
    root.open_for_writing()
    with root.lock(f"replay of {folder}"):
        record = _replay(folder.resolve(), root, run_name, baseline)
        root.write_record(record)
        written = report_command.write(record, root)
        if mlflow:
            write_tracker("mlflow", record, root, written, console)
    print_closing(written, console)
    return 0


def _name(name: str | None, folder: Path) -> str:
    """What was given, or the folder's name without what no run's folder can be called."""
    if name is None:
        return re.sub(r"[^\w+-]+", "-", folder.name).strip("-+")[:80] or "replay"
    try:
        return plain_name(name)
    except ValueError as error:
        fact, _, remedy = str(error).partition("; ")
        raise UserError(fact, where="--name", remedy=remedy) from None


def _replay(folder: Path, root: RunRoot, name: str, baseline: str | None) -> ComparisonRecord:
    # Nothing stands among the stages before all was read.
    with tempfile.TemporaryDirectory(prefix=".replay.", dir=root.path) as scratch:
        scores = _scores(folder, Path(scratch))
        arms = list(dict.fromkeys(cell.partition("@")[0] for cell in scores))
        if baseline is not None and baseline not in arms:
            raise unknown_name("arm", baseline, arms, where="--baseline")
        return _recorded(folder, root, name, baseline or arms[0], scores, Path(scratch))


def _recorded(
    folder: Path, root: RunRoot, name: str, baseline: str, scores: dict[str, list[Score]], scored: Path
) -> ComparisonRecord:
    """The record of what was read, its stages in their folders."""
    arms = list(dict.fromkeys(cell.partition("@")[0] for cell in scores))
    files = digest_of(
        sorted((str(p.relative_to(folder)), _digest(p)) for p in folder.rglob("*") if p.is_file())
    )
    digests: dict[StageKind, str] = {
        kind: digest_of([kind, files, str(folder)]) for kind in ("prepare", "judge")
    }
    stages = {kind: _stage(kind, digest, folder) for kind, digest in digests.items()}
    began = datetime.now(UTC).isoformat()
    for stage in stages.values():
        root.start_stage(_request(stage), owner=name)
    shutil.copytree(scored, root.stage_folder(digests["judge"]), dirs_exist_ok=True)
    facts: dict[StageKind, Facts] = {
        "prepare": ReplayFacts(source=str(folder)),
        "judge": JudgeFacts(cells=scores),
    }
    results = {digests[kind]: _result(stages[kind], facts[kind], began) for kind in digests}
    for digest, result in results.items():
        write_sealed(root.stage_folder(digest) / "result.json", result)
    plan = _plan(name, files, arms, scores, stages, baseline)
    return ComparisonRecord(
        id=plan.id,
        name=name,
        created_at=began,
        plan=plan,
        results=results,
        uses={digest: StageUse(digest=digest) for digest in results},
        command=typed_command(),
    )


def _scores(folder: Path, out: Path) -> dict[str, list[Score]]:
    """Scores by cell (`arm@seed`); raises UserError where no benchmark knows the files."""
    by_cell: dict[str, list[Score]] = {}
    asked = []
    for name in registry.names("benchmarks"):
        module = load_benchmark(name)
        if isinstance(module, ReadsResults):
            asked.append(name)
            for arm, scores in module.replay(folder, out).items():
                cell = arm if "@" in arm else f"{arm}@0"
                by_cell.setdefault(cell, []).extend(scores)
    if not by_cell:
        raise UserError(
            "holds nothing to replay",
            where=str(folder),
            remedy="give <arm>.annotations.json of AlpacaEval, judgments of MT-Bench, or a folder that "
            f"lm-eval wrote with --log_samples (asked: {', '.join(asked)})",
        )
    return by_cell


def _plan(
    name: str,
    files: str,
    arms: list[str],
    scores: Mapping[str, Any],
    stages: Mapping[StageKind, PlannedStage],
    baseline: str,
) -> Plan:
    cells = [(arm, int(seed)) for arm, _, seed in (cell.partition("@") for cell in scores)]
    spec = {
        "arms": [{"name": arm} for arm in arms],
        "seeds": sorted({seed for _, seed in cells}),
        "baseline": baseline,
        "cost_reference": baseline,
        "replayed": True,
    }
    prepare, judge = stages["prepare"].digest, stages["judge"].digest
    return Plan(
        id=f"{name}-{digest_of([files, spec])[:10]}",
        name=name,
        spec=spec,
        stages={stage.digest: stage for stage in stages.values()},
        cells=[PlannedCell(arm=arm, seed=seed, stages=[], evaluate=None) for arm, seed in cells],
        order=[prepare, judge],
        prepare=prepare,
        judge=judge,
    )


def _stage(kind: StageKind, digest: str, folder: Path) -> PlannedStage:
    return PlannedStage(
        digest=digest, kind=kind, name=f"replay: {kind}", seed=0, config={"folder": str(folder)}
    )


def _request(stage: PlannedStage) -> StageRequest:
    return StageRequest(digest=stage.digest, kind=stage.kind, name=stage.name, seed=0, config=stage.config)


def _result(stage: PlannedStage, facts: Facts, began: str) -> StageResult:
    return StageResult(
        digest=stage.digest,
        kind=stage.kind,
        name=stage.name,
        seed=0,
        started_at=began,
        finished_at=datetime.now(UTC).isoformat(),
        environment=collect("cpu"),
        facts=facts,
    )


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()[:16]
