"""Training prompts answered several times by a cell's model, each answer graded by a judge."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from harness.generate import Prompt
from harness.jsonl import write_jsonl
from harness.judges import GradingJudge, cache_of, grades_of, grading, load_judge, usage_of
from harness.measure import device
from harness.pipeline.generation_spec import GenerationSpec
from harness.records import SampleFacts, StageRequest
from harness.stages.answering import model_of
from harness.stages.context import Context, Outcome
from harness.stages.passes import passes

SAMPLES = "samples.jsonl"


def warm_up(request: StageRequest) -> str:
    """Import what loads the model."""
    from harness.generate.load import ready_to_load

    ready_to_load()
    return device.kind()


def run(context: Context) -> Outcome:
    """A row a prompt: its messages, the answers drawn, and their grades."""
    from harness.generate.answer import answer

    config = context.request.config
    judge = judge_of(config, cache_of(context.folder / SAMPLES))
    asked = prompts_of(context.prepared, config["prompts"], context.request.seed)
    settings = _settings(config)
    model = model_of(context, settings)
    every = [prompt for prompt in asked for _ in range(config["samples"])]
    with passes(context, model, "generation") as ledger:
        answers = answer(model, every, settings, lambda done, total: context.report(done, total, {}))
    with context.window.phase("evaluation"):
        grades = grades_of(judge, [(one.prompt, one.text) for one in answers])
    told = [{"text": one.text, "grade": grade} for one, grade in zip(answers, grades, strict=True)]
    size = config["samples"]
    rows = [
        {"id": prompt.id, "prompt": prompt.messages, "answers": told[i * size : (i + 1) * size]}
        for i, prompt in enumerate(asked)
    ]
    write_jsonl(context.folder / SAMPLES, rows)
    facts = SampleFacts(
        prompts=len(asked),
        samples=size,
        temperature=settings.temperature,
        judge=judge.name,
        ungraded=sum(grade is None for grade in grades),
        asked=usage_of(judge),
    )
    return Outcome(facts=facts, ledger=ledger, outputs={"samples": SAMPLES})


def judge_of(config: dict[str, Any], cache: Path | None) -> GradingJudge:
    """The judge; raises UserError for one that cannot grade a single answer."""
    module = load_judge(config["judge"])
    made = module.make(module.Config.model_validate(config["judge_config"]), cache)
    return grading(made, config["judge"], remedy="name another by --judge")


def prompts_of(prepared: Path, limit: int | None, seed: int) -> list[Prompt]:
    """Distinct prompts of the training split, `limit` of them drawn by a hash that the seed salts."""
    import pyarrow.parquet

    table = pyarrow.parquet.read_table(prepared / "train.parquet", columns=["id", "prompt"])
    first = {row["prompt"]: row["id"] for row in reversed(table.to_pylist())}
    drawn = sorted(first, key=lambda text: hashlib.sha256(f"{seed}/{text}".encode()).digest())
    return [Prompt(first[text], "sample", json.loads(text)) for text in drawn[:limit]]


def _settings(config: dict[str, Any]) -> GenerationSpec:
    """The comparison's, but for the temperature; padded batches, whose draws are seeded."""
    drawn = {"temperature": config["temperature"], "engine": "padded"}
    return GenerationSpec.model_validate({**config["generation"], **drawn})
