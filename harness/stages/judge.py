"""Benchmarks that compare cells: one process, all answers, no model."""

from __future__ import annotations

from pathlib import Path

from harness.benchmarks import ComparesCells
from harness.generate import Answer
from harness.jsonl import read_jsonl
from harness.records import JudgeFacts, Score, StageRequest
from harness.stages.context import Context, Outcome
from harness.stages.evaluate import benchmarks_of, labelled


def warm_up(request: StageRequest) -> str:
    """Nothing heavy is needed."""
    return "cpu"


def run(context: Context) -> Outcome:
    """Score every cell against its reference, and arms against each other."""
    cells = _cells(context)
    by_cell: dict[str, list[Score]] = {}
    with context.window.phase("evaluation"):
        for name, module, config in benchmarks_of(context):
            assert isinstance(module, ComparesCells), f"{name} compares no cells"
            answers_by_cell = {
                cell: [a for a in answers if a.benchmark == name] for cell, answers in cells.items()
            }
            scored = module.score_cells(
                config,
                answers_by_cell,
                context.prepared,
                context.folder,
                baseline=context.request.config["baseline"],
                progress=context.report,
            )
            for cell, scores in scored.items():
                by_cell.setdefault(cell, []).extend(labelled(context, scores))
    return Outcome(facts=JudgeFacts(cells=by_cell))


def _cells(context: Context) -> dict[str, list[Answer]]:
    """Answers by cell key, `arm@seed` or `base`."""
    cells = {}
    for role, folder in context.request.inputs.items():
        if role.startswith("cell:"):
            rows = read_jsonl(Path(folder) / "answers.jsonl")
            cells[role.removeprefix("cell:")] = [Answer(**row) for row in rows]
    return cells
