"""Stock ORPO never trains on an answer that its own truncation cut away whole."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from harness.data.prepare import PrepareConfig, prepare, write_pairs
from harness.data.schemas import Pair
from harness.data.template import apply_choice
from harness.data.tokenise import Tokenised, TokenPair, tokenise
from harness.errors import UserError
from harness.pipeline.data_spec import DataSpec
from harness.training.job import TrainJob
from harness.training.run import train

MAX_LENGTH = 16
WITHOUT_BOS = (
    "{% for m in messages %}{{ ' ' + m['content'] }}"
    "{% if m['role'] == 'assistant' %}{{ ' <eos>' }}{% endif %}{% endfor %}"
)
MakeJob = Callable[..., TrainJob]


def pair(length: int) -> Pair:
    """A pair whose prompt has so many tokens, and whose answers differ from their first."""
    words = " ".join(f"w{4 + (length + i) % 40}" for i in range(length))
    return Pair(f"p{length}", [{"role": "user", "content": words}], "w50 w51 w52", "w53 w54")


@pytest.fixture
def near_the_limit(tmp_path: Path, tiny_model: Path) -> Path:
    """Prepared pairs whose prompts have 1 to 20 tokens, of a template that writes no BOS."""
    pairs = [pair(length) for length in range(1, 21)]
    rows = [{"prompt": p.prompt, "chosen": p.chosen, "rejected": p.rejected} for p in pairs]
    source, template, out = tmp_path / "pairs", tmp_path / "bare.jinja", tmp_path / "prepared"
    for folder in (source, out):
        folder.mkdir()
    for split, part in (("train", rows), ("test", [{**rows[0], "prompt": "w60"}])):
        (source / f"{split}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in part))
    template.write_text(WITHOUT_BOS)
    data = DataSpec(source=str(source), max_length=MAX_LENGTH, chat_template=str(template))
    prepare(PrepareConfig(model=str(tiny_model), data=data), out, lambda done, total, metrics: None)
    return out


def stock_job(make_job: MakeJob, folder: Path) -> TrainJob:
    job = make_job("orpo", implementation="trl", **{"lambda": 0.5})
    return replace(job, prepared=folder, facts=job.facts.model_copy(update={"max_length": MAX_LENGTH}))


def test_every_prepared_pair_has_a_loss(make_job: MakeJob, near_the_limit: Path) -> None:
    job = stock_job(make_job, near_the_limit)
    train(job)
    rows = [json.loads(line) for line in (job.out / "steps.jsonl").read_text().splitlines()]
    losses = [row["metrics"]["loss"] for row in rows if "loss" in row["metrics"]]
    assert len(losses) == math.ceil(14 / job.config.batch_size)
    assert all(math.isfinite(loss) for loss in losses)


def test_an_answer_cut_away_whole_is_said_and_never_a_loss(
    make_job: MakeJob, near_the_limit: Path, tiny_tokenizer: Any
) -> None:
    template = apply_choice(tiny_tokenizer, "tokenizer")
    ids = tokenise([pair(3)], tiny_tokenizer, template, max_length=MAX_LENGTH).kept[0]
    full = TokenPair(pair(MAX_LENGTH), ids.prompt_ids, ids.chosen_ids, ids.rejected_ids, True)
    write_pairs(Tokenised(kept=[full]), near_the_limit / "train.parquet")
    with pytest.raises(UserError, match=r'cuts the chosen answer away whole .* "w20 w21 .* data.max_length'):
        train(stock_job(make_job, near_the_limit))
