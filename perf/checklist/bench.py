"""What every item of the checklist works with: models, pairs, and stages that run as in a comparison."""

from __future__ import annotations

import contextlib
import json
import random
import shutil
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from rich.console import Console

from harness.data.base_model import EMBEDDED
from harness.data.embedded.vocabulary import WORDS
from harness.jsonl import write_jsonl
from harness.measure import device
from harness.pipeline.load import find_comparison, load_comparison
from harness.pipeline.overrides import Overrides
from harness.pipeline.plan import plan_comparison
from harness.records import Prediction, RehearseFacts, StageResult
from harness.running.execute import Execution
from harness.running.resolve import resolve
from harness.running.showing import Showing
from harness.store.run_dir import RunRoot

Status = Literal["pass", "fail", "not available"]
PAIRS, PROMPT_SHARE = 40, 0.1

MODELS: dict[str, dict[str, Any]] = {
    "qwen2.5-0.5b": {
        "architectures": ["Qwen2ForCausalLM"],
        "model_type": "qwen2",
        "hidden_size": 896,
        "intermediate_size": 4864,
        "num_hidden_layers": 24,
        "num_attention_heads": 14,
        "num_key_value_heads": 2,
        "vocab_size": 151936,
        "tie_word_embeddings": True,
    },
    "llama-3.2-1b": {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "hidden_size": 2048,
        "intermediate_size": 8192,
        "num_hidden_layers": 16,
        "num_attention_heads": 32,
        "num_key_value_heads": 8,
        "vocab_size": 128256,
        "tie_word_embeddings": True,
    },
}
TOY: dict[str, Any] = {
    "architectures": ["LlamaForCausalLM"],
    "model_type": "llama",
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 2,
    "vocab_size": 512,
    "tie_word_embeddings": True,
}


class OutOfTime(Exception):
    """The minutes are used up; what is done is kept, and the next call goes on."""


@dataclass(frozen=True)
class Outcome:
    """What an item found. `why` says what failed or what is missing."""

    status: Status
    figures: dict[str, Any] = field(default_factory=dict)
    why: str = ""


def judged(ok: bool, figures: dict[str, Any], why: str) -> Outcome:
    """Pass, or fail because of `why`."""
    return Outcome("pass", figures) if ok else Outcome("fail", figures, why)


def missing(why: str) -> Outcome:
    """Not available, because of `why`."""
    return Outcome("not available", {}, why)


@dataclass
class Bench:
    """Where the checklist works. `toy`: small stand-ins, to try it where no GPU is."""

    out: Path
    toy: bool
    deadline: float
    console: Console = field(default_factory=Console)

    @property
    def max_length(self) -> int:
        """Tokens of a sequence."""
        return 64 if self.toy else 2048

    def model(self, name: str) -> str:
        """Random weights of a real size: its config with the embedded tokenizer beside it."""
        folder = write_model(self.out / "models" / name, TOY if self.toy else MODELS[name])
        return f"config:{folder}"

    def pairs(self) -> str:
        """Pairs of random words whose sequences are about `max_length` tokens long, of even spread."""
        file = self.out / f"pairs-{self.max_length}.jsonl"
        if not file.is_file():
            file.parent.mkdir(parents=True, exist_ok=True)
            rng = random.Random(0)
            write_jsonl(file, (_pair(rng, self.max_length) for _ in range(PAIRS)))
        return str(file)

    def execution(
        self,
        *sets: str,
        model: str = "qwen2.5-0.5b",
        arms: Sequence[str] = ("sft_dpo", "orpo"),
        score: Sequence[str] = ("preference",),
    ) -> Execution:
        """A comparison of `arms` on random weights of `model`, with `sets` over UltraFeedback's settings."""
        overrides = Overrides(
            model=EMBEDDED_NAME if model == EMBEDDED_NAME else self.model(model),
            data=EMBEDDED_NAME if model == EMBEDDED_NAME else self.pairs(),
            arms=list(arms),
            seeds="1",
            score=score,
            sets=(
                f"data.max_length={64 if model == EMBEDDED_NAME else self.max_length}",
                "training.micro_batch_size=2",
                "training.batch_size=8",
                "if_too_large=null",
                *sets,
            ),
        )
        spec = load_comparison(find_comparison("ultrafeedback", model=overrides.model), overrides)
        root = RunRoot(self.out / "runs")
        root.open_for_writing()
        plan = plan_comparison(spec, resolve(spec))
        watchers = Showing(root, self.console, file=False).watch(plan)
        execution = Execution(plan, root, watchers, offline=True)
        self.run(execution, [execution.plan.prepare])
        return execution

    def run(self, execution: Execution, digests: Sequence[str]) -> list[StageResult]:
        """Run or reuse stages, one by one while there is time."""
        for digest in digests:
            if execution.root.finished(digest) is None and time.monotonic() > self.deadline:
                raise OutOfTime
            execution.run([digest])
        return [execution.results[d] for d in digests]

    def rehearsals(self, execution: Execution) -> dict[str, StageResult]:
        """By stage name and arm: what its rehearsal found."""
        digests = [d for d in execution.plan.rehearsals if "job" in execution.plan.stages[d].config]
        results = self.run(execution, digests)
        names = [execution.plan.stages[d].config for d in digests]
        return {f"{c['stage']} of {c['arms'][0]}": r for c, r in zip(names, results, strict=True)}

    def trained(self, execution: Execution) -> dict[str, StageResult]:
        """By name: the training stages, run whole."""
        digests = [d for d in execution.plan.order if execution.plan.stages[d].kind == "train"]
        self.rehearsals(execution)
        return {r.name.partition("@")[0]: r for r in self.run(execution, digests)}


EMBEDDED_NAME = "embedded"


def write_model(folder: Path, config: dict[str, Any]) -> Path:
    """A folder of a config, from which weights are drawn, with the embedded tokenizer beside it."""
    if not (folder / "config.json").is_file():
        folder.mkdir(parents=True, exist_ok=True)
        for file in EMBEDDED.glob("*token*"):
            shutil.copy(file, folder)
        (folder / "config.json").write_text(json.dumps({**config, "max_position_embeddings": 4096}))
    return folder


def foretold(result: StageResult) -> Prediction | None:
    """What a rehearsal foretold; None where it did not fit."""
    return result.facts_as(RehearseFacts).prediction


def value(result: StageResult, quantity: str) -> float | None:
    """A figure of a stage's ledger."""
    measured = result.measured(quantity)
    return None if measured is None else measured.value


@contextlib.contextmanager
def crowded(leave_bytes: int) -> Iterator[None]:
    """Hold the GPU's memory but for `leave_bytes`, as a neighbour does."""
    import torch

    free = device.free_bytes() or 0
    held = torch.empty(max(0, free - leave_bytes), dtype=torch.uint8, device=device.torch_device())
    try:
        yield
    finally:
        del held
        device.empty_cache()


def _pair(rng: random.Random, tokens: int) -> dict[str, str]:
    """A prompt and two answers of random words, the longer of which fills three quarters or more."""
    words = [str(word) for word in WORDS]
    prompt = int(PROMPT_SHARE * tokens)
    room = tokens - prompt - 8

    def text(count: int) -> str:
        return " ".join(rng.choices(words, k=max(1, count)))

    return {
        "prompt": text(prompt),
        "chosen": text(rng.randint(3 * room // 4, room)),
        "rejected": text(rng.randint(room // 2, room)),
    }
