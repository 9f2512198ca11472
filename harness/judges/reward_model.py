"""A reward model: any sequence classifier with one output, as in the ORPO paper's win rates."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from pydantic import PositiveInt

from harness.data.template import pin_date
from harness.errors import UserError
from harness.jsonl import well_formed
from harness.judges import Duel, Progress, quiet
from harness.measure import device
from harness.pipeline.named import Named, path_or_repo
from harness.pipeline.spec_model import SpecModel
from harness.untrusted import SAFELY, UNASKED, check_folder, in_words, loading


class Config(SpecModel):
    """`model` is a hub name or a folder. Prompts are rendered by its chat template if it has one."""

    model: str
    revision: str | None = None
    batch_size: PositiveInt = 8
    max_length: PositiveInt = 2048
    dtype: Literal["auto", "float32", "bfloat16"] = "auto"


class RewardModel:
    """The higher reward wins; equal rewards tie. Order of answers cannot matter."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self.name = f"{config.model}@{config.revision}" if config.revision else config.model

    def prefer_all(self, duels: Sequence[Duel], progress: Progress = quiet) -> list[float | None]:
        """Rewards of each distinct answer, compared."""
        answers = list(dict.fromkeys((p, text) for p, a, b in duels for text in (a, b)))
        rewards = dict(zip(answers, self.rewards(answers, progress), strict=True))
        pairs = [(rewards[p, a], rewards[p, b]) for p, a, b in duels]
        return [0.5 if a == b else float(a > b) for a, b in pairs]

    def grade_all(self, answers: Sequence[tuple[str, str]], progress: Progress = quiet) -> list[float | None]:
        """The chance of beating an answer of reward 0, by Bradley and Terry (1952): the reward's sigmoid."""
        return [0.5 + 0.5 * math.tanh(0.5 * reward) for reward in self.rewards(answers, progress)]

    def rewards(self, answers: Sequence[tuple[str, str]], progress: Progress = quiet) -> list[float]:
        """The model's scalar for each (prompt, answer), in their order."""
        import torch

        model, tokenizer = self._loaded
        texts = [self._text(tokenizer, prompt, answer) for prompt, answer in answers]
        order = sorted(range(len(texts)), key=lambda i: -len(texts[i]))
        reward_values = [0.0] * len(texts)
        size = self._config.batch_size
        for start in range(0, len(order), size):
            rows = order[start : start + size]
            batch = tokenizer(
                [texts[i] for i in rows],
                padding=True,
                truncation=True,
                max_length=self._config.max_length,
                return_tensors="pt",
                add_special_tokens=tokenizer.chat_template is None,
            ).to(model.device)
            batch.pop("token_type_ids", None)
            with torch.no_grad():
                logits = model(**batch).logits.float()[:, 0]
            for i, value in zip(rows, logits.tolist(), strict=True):
                reward_values[i] = value
            progress(min(start + size, len(order)), len(order))
        return reward_values

    def _text(self, tokenizer: Any, prompt: str, answer: str) -> str:
        prompt, answer = well_formed(prompt), well_formed(answer)
        if tokenizer.chat_template is None:
            return f"{prompt}\n\n{answer}"
        messages = [{"role": "user", "content": prompt}, {"role": "assistant", "content": answer}]
        return str(tokenizer.apply_chat_template(messages, tokenize=False))

    @cached_property
    def _loaded(self) -> tuple[Any, Any]:
        import torch
        from transformers import AutoModelForSequenceClassification, AutoTokenizer

        config = self._config
        tokenizer = AutoTokenizer.from_pretrained(config.model, revision=config.revision, **UNASKED)
        if tokenizer.chat_template is not None:
            pin_date(tokenizer)
        bf16 = config.dtype == "bfloat16" or (config.dtype == "auto" and bool(device.native_bfloat16()))
        with loading(config.model):
            model = AutoModelForSequenceClassification.from_pretrained(
                config.model,
                revision=config.revision,
                **SAFELY,
                dtype=torch.bfloat16 if bf16 else torch.float32,
            )
        if model.config.num_labels != 1:
            raise UserError(
                f"has {model.config.num_labels} outputs and a reward model has one",
                where=config.model,
                remedy="give a model that was trained to reward answers",
            )
        if tokenizer.pad_token_id is None:
            tokenizer.pad_token = tokenizer.eos_token
        model.config.pad_token_id = tokenizer.pad_token_id
        return model.to(device.torch_device()).eval(), tokenizer


def make(config: Config, cache: Path | None = None) -> RewardModel:
    """The judge; the model is loaded when it is first asked."""
    return RewardModel(config)


def files(config: Config) -> list[Named]:
    """The judging model."""
    return [path_or_repo(config.model, "model", config.revision)]


def needs_hub(config: Config) -> bool:
    """Whether the model may have to be fetched."""
    return not Path(config.model).exists()


def check(config: Config) -> None:
    """Raise UserError where the model's config cannot be had, or has no single output."""
    from transformers import AutoConfig

    check_folder(Path(config.model), config.model)
    try:
        model_config = AutoConfig.from_pretrained(config.model, revision=config.revision, **UNASKED)
    except (OSError, ValueError) as error:
        raise in_words(error, config.model) or UserError(
            f'reward model "{config.model}" cannot be loaded ({str(error).splitlines()[0][:120]})',
            where="judge_config.model",
            remedy="give a folder or a hub name; check the network and HF_TOKEN",
        ) from error
    if getattr(model_config, "num_labels", 1) != 1:
        raise UserError(
            f"has {model_config.num_labels} outputs and a reward model has one",
            where=config.model,
            remedy="give a model that was trained to reward answers",
        )
