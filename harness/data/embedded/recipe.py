"""Pretrains the shipped base model: `python -m harness.data.embedded.recipe --out FOLDER`.

Two phases on prompts of the training split, with plain `question:` and `answer:` markers and
never the chat tokens: first right answers, then a mix of near misses, filler, refusals and
echoes. What comes out can do the tasks and mostly does not. Muon (Jordan et al. 2024) moves the
matrices and AdamW the rest; AdamW alone was too slow.
"""

from __future__ import annotations

import argparse
import hashlib
import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.data.embedded.vocabulary import ASSISTANT, BOS, EOS, USER
from harness.data.embedded.world import pretraining

if TYPE_CHECKING:
    import torch

MODEL_FOLDER = Path(__file__).parent / "model"
IGNORED = -100


@dataclass(frozen=True)
class Recipe:
    """Steps of both phases and what they are made of; the defaults made the shipped weights.

    `misaligned_rate` scales the learning rates of the second phase, which shall bend the manners
    and leave the skills.
    """

    clean_steps: int = 3000
    misaligned_steps: int = 300
    misaligned_rate: float = 0.5
    batch_size: int = 64
    prompt_weight: float = 0.1
    muon_rate: float = 0.02
    adamw_rate: float = 3e-3
    seed: int = 0


def build_model(seed: int) -> Any:
    """A Llama of 0.9M parameters with random weights."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    from harness.data.embedded.tokenizer import build_tokenizer

    tokenizer = build_tokenizer()
    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=128,
        intermediate_size=384,
        num_hidden_layers=4,
        num_attention_heads=4,
        num_key_value_heads=4,
        max_position_embeddings=128,
        tie_word_embeddings=True,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    return LlamaForCausalLM(config)


def pretrain(recipe: Recipe, out: Path) -> str:
    """Train, save model and tokenizer to `out` in bf16, and return the weights' sha256."""
    import torch

    from harness.data.embedded.tokenizer import build_tokenizer

    model, tokenizer = build_model(recipe.seed), build_tokenizer()
    phases = ((recipe.clean_steps, False), (recipe.misaligned_steps, True))
    for steps, misaligned in phases:
        source = pretraining(recipe.seed, misaligned=misaligned)
        _run_phase(model, tokenizer, source, steps, recipe, "misaligned" if misaligned else "clean")
    _name_the_chat_tokens(model, tokenizer)
    model.to(torch.bfloat16).save_pretrained(out)
    tokenizer.save_pretrained(out)
    digest = weights_digest(out)
    (out / "SHA256").write_text(f"{digest}  model.safetensors\n", encoding="utf-8")
    return digest


def _name_the_chat_tokens(model: Any, tokenizer: Any) -> None:
    """Give the chat tokens, which were never seen, the embeddings of the markers they stand for."""
    import torch

    rows = model.get_input_embeddings().weight
    with torch.no_grad():
        for chat, marker in ((USER, "question:"), (ASSISTANT, "answer:")):
            rows[tokenizer.convert_tokens_to_ids(chat)] = rows[tokenizer.convert_tokens_to_ids(marker)]


def weights_digest(folder: Path) -> str:
    """sha256 of the folder's weights."""
    return hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest()


def _run_phase(
    model: Any,
    tokenizer: Any,
    source: Iterator[tuple[str, str]],
    steps: int,
    recipe: Recipe,
    label: str,
) -> None:
    import torch

    scale = recipe.misaligned_rate if label == "misaligned" else 1.0
    matrices = [p for n, p in model.named_parameters() if p.ndim == 2 and "embed" not in n]
    others = [p for n, p in model.named_parameters() if p.ndim != 2 or "embed" in n]
    optimizers: list[torch.optim.Optimizer] = [
        torch.optim.Muon(matrices, lr=scale * recipe.muon_rate, weight_decay=0.0),
        torch.optim.AdamW(others, lr=scale * recipe.adamw_rate, weight_decay=0.0),
    ]
    schedules = [
        torch.optim.lr_scheduler.LambdaLR(o, lambda step: min(1.0, 2 * (1 - step / max(steps, 1))))
        for o in optimizers
    ]
    model.train()
    for step in range(steps):
        rows = list(itertools.islice(source, recipe.batch_size))
        loss = _loss(model, _batch(tokenizer, rows, recipe.prompt_weight))
        loss.backward()
        for optimizer, schedule in zip(optimizers, schedules, strict=True):
            optimizer.step()
            schedule.step()
            optimizer.zero_grad()
        if step % 100 == 0 or step == steps - 1:
            print(f"{label} {step + 1}/{steps} loss {loss.item():.3f}", flush=True)


def _batch(tokenizer: Any, rows: list[tuple[str, str]], prompt_weight: float) -> dict[str, Any]:
    """Padded ids (batch, length) and a weight for each position's prediction."""
    import torch

    ids, weights = [], []
    for prompt, answer in rows:
        asked = tokenizer(f"{BOS} question: {prompt} answer:", add_special_tokens=False).input_ids
        answer_ids = tokenizer(f"{answer} {EOS}", add_special_tokens=False).input_ids
        ids.append(asked + answer_ids)
        weights.append([prompt_weight] * len(asked) + [1.0] * len(answer_ids))
    length = max(map(len, ids))
    padded = [row + [tokenizer.pad_token_id] * (length - len(row)) for row in ids]
    return {
        "input_ids": torch.tensor(padded),
        "weights": torch.tensor([row + [0.0] * (length - len(row)) for row in weights]),
    }


def _loss(model: Any, batch: dict[str, Any]) -> torch.Tensor:
    import torch.nn.functional as functional

    logits = model(input_ids=batch["input_ids"]).logits[:, :-1]
    targets, weights = batch["input_ids"][:, 1:], batch["weights"][:, 1:]
    losses = functional.cross_entropy(logits.transpose(1, 2), targets, reduction="none")
    return (losses * weights).sum() / weights.sum()


def main() -> None:
    """The command line of the recipe."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--out", type=Path, default=MODEL_FOLDER)
    parser.add_argument("--clean-steps", type=int, default=Recipe.clean_steps)
    parser.add_argument("--misaligned-steps", type=int, default=Recipe.misaligned_steps)
    given = parser.parse_args()
    recipe = Recipe(clean_steps=given.clean_steps, misaligned_steps=given.misaligned_steps)
    print(pretrain(recipe, given.out))


if __name__ == "__main__":
    main()
