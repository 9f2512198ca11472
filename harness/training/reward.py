"""A learned reward: what it gives to answers, how it fares while it is trained, and what it is worth."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pyarrow.parquet
import torch

from harness.records import RewardFacts
from harness.training.collate import Row
from harness.training.probe import Probe

MOST_PAIRS = 400
"""Held-out pairs that a finished reward model orders."""
EMBEDDED = "embedded"
Grade = Callable[[str, str], float]


def rewards_of(model: Any, sequences: Sequence[Sequence[int]], pad: int, batch_size: int) -> list[float]:
    """The reward of each sequence of token ids, in their order. The model's training mode is put back."""
    order = sorted(range(len(sequences)), key=lambda i: -len(sequences[i]))
    found, was_training = [0.0] * len(sequences), model.training
    model.eval()
    try:
        for start in range(0, len(order), batch_size):
            rows = order[start : start + batch_size]
            longest = len(sequences[rows[0]])
            ids = [[*sequences[i], *[pad] * (longest - len(sequences[i]))] for i in rows]
            real = [[1] * len(sequences[i]) + [0] * (longest - len(sequences[i])) for i in rows]
            with torch.no_grad():
                tensors = (torch.tensor(part, device=model.device) for part in (ids, real))
                logits = model(**dict(zip(("input_ids", "attention_mask"), tensors, strict=True))).logits
            for i, value in zip(rows, logits[:, 0].float().tolist(), strict=True):
                found[i] = value
    finally:
        model.train(was_training)
    return found


def rewards_of_pairs(
    model: Any, pairs: Sequence[Row], pad: int, batch_size: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """Rewards of the chosen and of the rejected answers: (pairs,) each."""
    chosen_ids = [[*row["prompt_ids"], *row["chosen_ids"]] for row in pairs]
    rejected_ids = [[*row["prompt_ids"], *_rejected(row)] for row in pairs]
    sides = [*chosen_ids, *rejected_ids]
    chosen, rejected = torch.tensor(rewards_of(model, sides, pad, batch_size)).chunk(2)
    return chosen, rejected


def _rejected(row: Row) -> Sequence[int]:
    ids = row["rejected_ids"]
    return [] if ids is None else [int(token) for token in ids]


class RewardProbe(Probe):
    """What the reward gives to a few held-out pairs while it is trained, at the steps of other stages'
    probes."""

    def check_head(self) -> None:
        """There is no head of log-probs."""

    def measure(self) -> dict[str, float]:
        """Margins, and the share of pairs that it orders as their labels do; they are no policy's."""
        trainer = self.trainer
        pad = trainer.processing_class.pad_token_id
        chosen, rejected = rewards_of_pairs(trainer.model, list(self.pairs), pad, self.batch_size)
        return {
            "probe_reward_margin": float((chosen - rejected).mean()),
            "probe_reward_accuracy": float((chosen > rejected).float().mean()),
            "probe_pairs": float(len(chosen)),
        }


def worth(
    model: Any, held_out: Path, rows: Sequence[Row], pad: int, batch_size: int, grade: Grade | None
) -> RewardFacts:
    """How the reward orders held-out pairs, by their labels and by `grade`, where there is one."""
    chosen, rejected = rewards_of_pairs(model, rows, pad, batch_size)
    pairs = len(rows)
    facts = RewardFacts(pairs=pairs, ordered=float((chosen > rejected).float().mean()) if pairs else None)
    if grade is None:
        return facts
    graded = torch.tensor([_grades(text, grade) for text in texts_of(held_out, pairs)])
    apart = graded[:, 0] != graded[:, 1]
    if not bool(apart.any()):
        return facts
    agree = ((chosen - rejected) * (graded[:, 0] - graded[:, 1]) > 0)[apart]
    found = {"graded_pairs": int(apart.sum()), "ordered_as_graded": float(agree.float().mean())}
    return facts.model_copy(update=found)


def texts_of(held_out: Path, count: int) -> list[tuple[str, str, str]]:
    """The last user turn, the chosen and the rejected answer of the first `count` pairs of a file."""
    columns = ["prompt", "chosen", "rejected"]
    rows = pyarrow.parquet.read_table(held_out, columns=columns).slice(0, count).to_pylist()
    return [(json.loads(r["prompt"])[-1]["content"], r["chosen"], r["rejected"]) for r in rows]


def grader(source: str) -> Grade | None:
    """The programmatic judge of the data's world; None where there is none."""
    if source != EMBEDDED:
        return None
    from harness.data.embedded.grade import grade

    return grade


def _grades(text: tuple[str, str, str], grade: Grade) -> tuple[float, float]:
    prompt, chosen, rejected = text
    return grade(prompt, chosen), grade(prompt, rejected)
