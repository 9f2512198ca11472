"""What a trainer's own data loader yields, found by walking it: for the audit and the forecast."""

from __future__ import annotations

import hashlib
import math
from collections import Counter
from typing import Any

import torch

from harness.pipeline.training_spec import TrainConfig
from harness.records import BatchFacts
from harness.training.job import StageTrainer
from harness.training.shape import Side, Walk


def walk(trainer: StageTrainer, config: TrainConfig, *, stop_token_ids: list[int]) -> Walk:
    """Walk the loader for as many epochs as a run by `config` has."""
    course, digests = Walk(), _Digests(trainer.processing_class, stop_token_ids)
    loader = trainer.whole_epochs()
    per_step = config.batch_size // config.micro_batch_size
    wanted = planned_steps(config, -(-len(loader) // per_step))
    epoch = 0
    while len(course.steps) < wanted:
        in_step = 0
        for batch in loader:
            shape = trainer.shape_of(batch)
            course.buckets.append(shape.bucket)
            course.pairs += shape.pairs
            course.tokens_real += shape.tokens_real
            if epoch == 0:
                digests.add(trainer.sides(batch), shape.bucket.tokens)
            in_step += 1
            if in_step == per_step:
                course.steps.append(in_step)
                in_step = 0
            if len(course.steps) == wanted and epoch > 0:
                break
        if in_step:
            course.steps.append(in_step)
        epoch += 1
    _cut(course, wanted)
    course.facts = digests.facts()
    return course


def planned_steps(config: TrainConfig, per_epoch: int) -> int:
    """Optimizer steps of a whole run, as transformers counts them."""
    return config.max_steps or max(1, math.ceil(round(per_epoch * config.epochs, 6)))


def _cut(course: Walk, wanted: int) -> None:
    """Leave out what the run stops before."""
    del course.steps[wanted:]
    del course.buckets[sum(course.steps) :]


class _Digests:
    """Running digests of chosen and rejected sequences, padding taken off."""

    def __init__(self, tokenizer: Any, stop_token_ids: list[int]) -> None:
        self._bos, self._stops = tokenizer.bos_token_id, set(stop_token_ids)
        names = ("chosen_ids", "chosen_scored", "rejected_ids")
        self._hashes = {name: hashlib.sha256() for name in names}
        self._counts: Counter[str] = Counter()
        self._longest = {"chosen": 0, "rejected": 0}

    def add(self, sides: list[Side], computed: int) -> None:
        """Take in a batch, and how many tokens it computes."""
        self._counts["tokens_padded"] += computed
        for name, side in zip(("chosen", "rejected"), sides, strict=False):
            for row in range(len(side.ids)):
                here = side.real[row].bool().cpu()
                tokens = side.ids[row].cpu()[here]
                learned = None if side.scored is None else side.scored[row].cpu()[here]
                self._counts[name] += 1
                self._counts["tokens_real"] += len(tokens)
                self._counts["left_padded"] += int(not bool(here[0]))
                self._hashes[f"{name}_ids"].update(tokens.numpy().tobytes() + b"|")
                if name == "chosen" and learned is not None:
                    self._counts["scored"] += 1
                    self._hashes["chosen_scored"].update(learned.numpy().tobytes() + b"|")
                self._longest[name] = max(self._longest[name], len(tokens))
                self._check(tokens, learned)

    def _check(self, tokens: torch.Tensor, learned: torch.Tensor | None) -> None:
        if len(tokens) > 1 and int(tokens[0]) == int(tokens[1]) == self._bos:
            self._counts["doubled_bos"] += 1
        if learned is not None and len(tokens) and int(tokens[-1]) in self._stops:
            self._counts["stops"] += 1
            self._counts["stops_learned"] += int(bool(learned[-1]))

    def facts(self) -> BatchFacts:
        """For the parity audit."""
        counts = self._counts
        digests = {name: digest.hexdigest()[:16] for name, digest in self._hashes.items()}
        return BatchFacts(
            chosen_ids=digests["chosen_ids"],
            chosen_scored=digests["chosen_scored"] if counts["scored"] else None,
            rejected_ids=digests["rejected_ids"] if counts["rejected"] else None,
            pairs=counts["chosen"],
            stop_learned=counts["stops_learned"] / counts["stops"] if counts["stops"] else None,
            doubled_bos=counts["doubled_bos"],
            longest_chosen=self._longest["chosen"],
            longest_rejected=self._longest["rejected"] or None,
            tokens_real=counts["tokens_real"],
            tokens_padded=counts["tokens_padded"],
            padding="left" if counts["left_padded"] else "right",
        )
