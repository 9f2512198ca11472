"""A local causal LM as judge: whether A or B is the likelier next token after the question."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from pydantic import PositiveInt

from harness.data.template import pin_date
from harness.errors import UserError
from harness.jsonl import well_formed
from harness.judges import Duel, Progress, quiet
from harness.judges.openai import QUESTION
from harness.measure import device
from harness.pipeline.named import Named, path_or_repo
from harness.pipeline.spec_model import SpecModel
from harness.untrusted import SAFELY, UNASKED, check_folder, in_words, loading

SLOTS = ("A", "B")


class Config(SpecModel):
    """`model` is a hub name or a folder; `weighted` gives the share of A instead of the likelier one."""

    model: str
    revision: str | None = None
    batch_size: PositiveInt = 8
    weighted: bool = True


class LocalLM:
    """Reads log-probs of the two letters; nothing is sampled, so nothing can be unreadable."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self.name = f"{config.model}@{config.revision}" if config.revision else config.model

    def prefer_all(self, duels: Sequence[Duel], progress: Progress = quiet) -> list[float | None]:
        """P(A) / (P(A) + P(B)), or which is larger."""
        texts = [QUESTION.format(prompt=p, first=a, second=b) for p, a, b in duels]
        preferences: list[float | None] = []
        size = self._config.batch_size
        for start in range(0, len(texts), size):
            preferences += self._shares(texts[start : start + size])
            progress(min(start + size, len(texts)), len(texts))
        return preferences

    def _shares(self, texts: Sequence[str]) -> list[float]:
        import torch

        model, tokenizer, letters = self._loaded
        rendered = [self._rendered(tokenizer, text) for text in texts]
        batch = tokenizer(rendered, padding=True, return_tensors="pt", add_special_tokens=False)
        with torch.no_grad():
            logits = model(**batch.to(model.device)).logits[:, -1, letters].float()
        first = torch.softmax(logits, dim=1)[:, 0]
        if not self._config.weighted:
            first = (first > 0.5).float() + 0.5 * (first == 0.5).float()
        return [float(share) for share in first]

    def _rendered(self, tokenizer: Any, text: str) -> str:
        text = well_formed(text)
        if tokenizer.chat_template is None:
            return f"{text}\n\n"
        messages = [{"role": "user", "content": text}]
        return str(tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True))

    @cached_property
    def _loaded(self) -> tuple[Any, Any, list[int]]:
        import torch
        from transformers import AutoModelForCausalLM, AutoTokenizer

        config = self._config
        tokenizer = AutoTokenizer.from_pretrained(
            config.model, revision=config.revision, padding_side="left", **UNASKED
        )
        if tokenizer.pad_token_id is None:
            tokenizer.pad_token = tokenizer.eos_token
        if tokenizer.chat_template is not None:
            pin_date(tokenizer)
        with loading(config.model):
            model = AutoModelForCausalLM.from_pretrained(
                config.model,
                revision=config.revision,
                **SAFELY,
                dtype=torch.bfloat16 if device.native_bfloat16() else torch.float32,
            )
        return model.to(device.torch_device()).eval(), tokenizer, _letters(tokenizer, config.model)


def _letters(tokenizer: Any, model: str) -> list[int]:
    """The tokens of A and B; raises UserError for a tokenizer that writes both the same."""
    letters = [tokenizer(slot, add_special_tokens=False)["input_ids"][0] for slot in SLOTS]
    if letters[0] == letters[1]:
        raise UserError(
            "writes A and B with the same first token, so it cannot choose between them",
            where=model,
            remedy="give a model with another tokenizer",
        )
    return letters


def make(config: Config, cache: Path | None = None) -> LocalLM:
    """The judge; the model is loaded when it is first asked."""
    return LocalLM(config)


def files(config: Config) -> list[Named]:
    """The judging model."""
    return [path_or_repo(config.model, "model", config.revision)]


def needs_hub(config: Config) -> bool:
    """Whether the model may have to be fetched."""
    return not Path(config.model).exists()


def check(config: Config) -> None:
    """Raise UserError where the model cannot be had, or cannot tell A from B."""
    from transformers import AutoConfig, AutoTokenizer

    check_folder(Path(config.model), config.model)
    try:
        AutoConfig.from_pretrained(config.model, revision=config.revision, **UNASKED)
        tokenizer = AutoTokenizer.from_pretrained(config.model, revision=config.revision, **UNASKED)
    except (OSError, ValueError) as error:
        raise in_words(error, config.model) or UserError(
            f'judge model "{config.model}" cannot be loaded ({str(error).splitlines()[0][:120]})',
            where="judge_config.model",
            remedy="give a folder or a hub name; check the network and HF_TOKEN",
        ) from error
    _letters(tokenizer, config.model)
