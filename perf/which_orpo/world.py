"""What every implementation is given: a tiny Llama in float64, pairs as token ids and as texts, and settings.

This module stands in every implementation's environment, so it needs torch and transformers alone.
"""

from __future__ import annotations

import json
import random
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

PAD, BOS, EOS, NEWLINE, ASSISTANT = range(5)
WORDS = {"<pad>": PAD, "<bos>": BOS, "<eos>": EOS, "\n": NEWLINE, "<assistant>": ASSISTANT}
WORDS |= {f"w{number}": number for number in range(len(WORDS), 64)}
WEIGHT = 0.5
"""Of the odds-ratio term: lambda."""
PAIRS, MICRO_BATCH = 6, 2
LENGTH = 24
"""Tokens of a sequence at most; the authors' code pads all to it."""
AFTER_THE_END = " \n"
"""What a chat template such as ChatML writes after the token that ends an answer."""


@dataclass(frozen=True)
class Pair:
    """Token ids. The prompt holds the token that ends the user's turn, answers end with their own."""

    prompt: list[int]
    chosen: list[int]
    rejected: list[int]


def text_of(ids: Sequence[int]) -> str:
    """The words of token ids."""
    names = {number: word for word, number in WORDS.items()}
    return " ".join(names[one] for one in ids)


def micro_batches(pairs: Sequence[Pair]) -> list[list[Pair]]:
    """The pairs as they are trained on, some at a time, within one optimizer step."""
    return [list(pairs[start : start + MICRO_BATCH]) for start in range(0, len(pairs), MICRO_BATCH)]


def write_world(folder: Path) -> None:
    """Weights, tokenizer and pairs, the same in every call."""
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(WORDS),
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=64,
        pad_token_id=PAD,
        bos_token_id=BOS,
        eos_token_id=EOS,
        initializer_range=0.2,
    )
    LlamaForCausalLM(config).to(torch.float64).save_pretrained(folder)
    tokenizer().save_pretrained(folder)
    drawn = [asdict(pair) for pair in _drawn(random.Random(0))]
    (folder / "pairs.json").write_text(json.dumps(drawn), encoding="utf-8")


def _drawn(rng: random.Random) -> list[Pair]:
    """Pairs of unequal lengths, all shorter than `LENGTH`."""

    def words(least: int, most: int) -> list[int]:
        return [rng.randrange(ASSISTANT + 1, len(WORDS)) for _ in range(rng.randint(least, most))]

    return [
        Pair([*words(2, 6), EOS, ASSISTANT], [*words(2, 10), EOS], [*words(2, 10), EOS]) for _ in range(PAIRS)
    ]


def tokenizer() -> Any:
    """Words are tokens, and so is a line's end."""
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    core = Tokenizer(models.WordLevel(WORDS, unk_token="<pad>"))
    core.pre_tokenizer = pre_tokenizers.Split(" ", "removed")
    return PreTrainedTokenizerFast(
        tokenizer_object=core, pad_token="<pad>", bos_token="<bos>", eos_token="<eos>"
    )


def read_world(folder: Path) -> tuple[Any, list[Pair]]:
    """The model in float64, without dropout, and the pairs."""
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(folder, attn_implementation="eager").to(torch.float64)
    pairs = json.loads((folder / "pairs.json").read_text(encoding="utf-8"))
    return model.eval(), [Pair(**pair) for pair in pairs]


def padded(
    rows: Sequence[Sequence[int]], with_: int, length: int | None = None
) -> tuple[torch.Tensor, torch.Tensor]:
    """Rows padded on the right to the longest, or to `length`, and the mask of what is no padding."""
    width = length or max(map(len, rows))
    ids = torch.tensor([[*row, *[with_] * (width - len(row))] for row in rows])
    mask = torch.tensor([[1] * len(row) + [0] * (width - len(row)) for row in rows])
    return ids, mask


Loss = Callable[[Any, list[Pair]], torch.Tensor]
Term = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]


def hand_in(
    loss_of: Loss, odds_term: Term, versions: Mapping[str, str], dtype: torch.dtype = torch.float32
) -> None:
    """Run one implementation as the command line says: WORLD OUT. Writes `answer.json` and `gradient.pt`.

    `loss_of` is the loss of one micro-batch, whose mean over micro-batches a trainer steps by. `odds_term` is
    -log sigmoid of the log odds ratio, a number a pair, from mean log-probs in `dtype`.
    """
    world, out = Path(sys.argv[1]), Path(sys.argv[2])
    model, pairs = read_world(world)
    batches = micro_batches(pairs)
    total = 0.0
    for batch in batches:
        loss = loss_of(model, batch) / len(batches)
        loss.backward()
        total += float(loss.detach())
    gradient = torch.cat([weight.grad.flatten() for weight in model.parameters()])
    write_answer(out, total, gradient, odds_term, versions, dtype)


def write_answer(
    out: Path,
    loss: float,
    gradient: torch.Tensor,
    odds_term: Term,
    versions: Mapping[str, str],
    dtype: torch.dtype = torch.float32,
) -> None:
    """What an implementation hands in."""
    torch.save(gradient.detach(), out / "gradient.pt")
    answer = {
        "loss": loss,
        "versions": dict(versions),
        "near_zero": [near_zero(odds_term, mean, dtype) for mean in NEAR_ZERO],
    }
    (out / "answer.json").write_text(json.dumps(answer), encoding="utf-8")


def versions_of(*packages: str) -> dict[str, str]:
    """The versions that are installed here, torch's and transformers' among them."""
    return {package: version(package) for package in (*packages, "torch", "transformers")}


NEAR_ZERO = (-1e-2, -1e-4, -1e-6, -1e-8, 0.0)
"""Mean log-probs of a token of the chosen answer: a model that is sure of it."""
REJECTED = -1.0


def near_zero(odds_term: Term, mean: float, dtype: torch.dtype) -> tuple[str, str]:
    """The odds-ratio term and its slope in the chosen answer's mean log-prob, as text, since both may be
    endless."""
    chosen = torch.tensor([mean], dtype=dtype, requires_grad=True)
    term = odds_term(chosen, torch.tensor([REJECTED], dtype=dtype)).sum()
    (slope,) = torch.autograd.grad(term, chosen)
    return f"{float(term.detach()):.3g}", f"{float(slope):.3g}"
