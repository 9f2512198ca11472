"""Prompts of a file, answered by two arms of a run before people compare them."""

from __future__ import annotations

import json
import random
from collections.abc import Mapping
from pathlib import Path

import pyarrow.parquet

from harness.arena.duels import Duels, Sides, answers_of, duels
from harness.data.prompts import read_prompts
from harness.jsonl import write_jsonl
from harness.pipeline.asked import Answering, asked
from harness.pipeline.spec import ComparisonSpec
from harness.pipeline.validate import validate
from harness.records import ComparisonRecord, StageResult
from harness.running.execute import Asked
from harness.running.later import later
from harness.running.resolve import resolve
from harness.store.items import read_test_pairs
from harness.store.run_dir import RunRoot
from harness.terminal import PlainConsole

BENCHMARK = "_arena"
TRAINING_FILE, MOST_PROMPTS, SEED = "training_prompts.jsonl", 100, 0


def answered(root: RunRoot, record: ComparisonRecord, sides: Sides, file: Path) -> Duels:
    """Both cells' answers to the prompts of `file`, made where they are not there yet.

    Raises UserError for a file that holds no prompts, and for weights that are gone.
    """
    prompts = read_prompts(file)
    settings = {**record.plan.spec, "score": [BENCHMARK]}
    settings["benchmarks"] = {BENCHMARK: {"prompts": str(file.resolve())}}
    settings |= {"questions": [], "aggregates": {}}
    spec = validate(ComparisonSpec, settings, where=lambda key: record.id)
    resolved = resolve(spec)
    cells = (sides.a, sides.b)
    made = asked(record.plan, spec, resolved, cells)
    results = dict(record.results)
    results |= {d: found for d in made.answering if (found := root.finished(d)) is not None}
    if not set(made.answering) <= results.keys():
        results = _made(root, record, made, Asked(spec, resolved), results)
    of_a, of_b = (answers_of(root, results[digest]) for digest in made.answering[-2:])
    test = [pair.prompt for pair in read_test_pairs(root, record).values()]
    return duels(prompts.items(), of_a, of_b, test=test)


def write_training_prompts(root: RunRoot, record: ComparisonRecord, folder: Path) -> Path:
    """A file of at most 100 training prompts, drawn once for the run: votes on them can become pairs."""
    prepared = root.folder_of(record.results[record.plan.prepare])
    column = pyarrow.parquet.read_table(prepared / "train.parquet", columns=["prompt"])["prompt"]
    found = list(dict.fromkeys(column.to_pylist()))
    drawn = random.Random(SEED).sample(found, min(MOST_PROMPTS, len(found)))
    file = folder / TRAINING_FILE
    write_jsonl(file, [{"prompt": json.loads(prompt)} for prompt in drawn])
    return file


def _made(
    root: RunRoot,
    record: ComparisonRecord,
    made: Answering,
    made_of: Asked,
    results: Mapping[str, StageResult],
) -> dict[str, StageResult]:
    """The run's results with those of the stages that answer."""
    what, console = f"answers for harness arena on {record.id} in {root.path}", PlainConsole()
    with later(record, root, made.plan, made.answering, asked=made_of, what=what, console=console) as at_work:
        at_work.execution.results = dict(results)
        at_work.execution.run(made.answering)
    return at_work.execution.results
