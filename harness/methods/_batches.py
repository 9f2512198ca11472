"""What a trainer's own data loader yields, found by walking it: for the audit and the forecast."""

from __future__ import annotations

import hashlib
import math
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import torch

from harness.measure.flops import Bucket
from harness.pipeline.spec import TrainConfig


@dataclass
class Walk:
    """Micro-batches of a whole run in order, and digests of what the first epoch holds.

    `buckets[i]` is the shape of micro-batch i; `steps[s]` how many of them optimizer step s has.
    """

    buckets: list[Bucket] = field(default_factory=list)
    steps: list[int] = field(default_factory=list)
    pairs: int = 0
    tokens_real: int = 0
    facts: dict[str, Any] = field(default_factory=dict)

    def counter(self) -> Counter[Bucket]:
        """How often each shape occurs."""
        return Counter(self.buckets)

    @property
    def tokens_padded(self) -> int:
        """Tokens with padding over the whole run."""
        return sum(b.batch * b.length for b in self.buckets)


def walk(trainer: Any, config: TrainConfig, *, stop_token_ids: list[int]) -> Walk:
    """Walk the loader for as many epochs as a run by `config` has."""
    found, digests = Walk(), _Digests(trainer.processing_class, stop_token_ids)
    loader = trainer.loader_of_whole_epochs()
    per_step = config.batch_size // config.micro_batch_size
    wanted = planned_steps(config, -(-len(loader) // per_step))
    epoch = 0
    while len(found.steps) < wanted:
        in_step = 0
        for batch in loader:
            found.buckets.append(trainer.bucket_of(batch))
            sides = trainer.sides(batch)
            found.pairs += len(sides[0][0])
            found.tokens_real += sum(int(real.sum()) for _, real, _ in sides)
            if epoch == 0:
                digests.add(sides)
            in_step += 1
            if in_step == per_step:
                found.steps.append(in_step)
                in_step = 0
            if len(found.steps) == wanted and epoch > 0:
                break
        if in_step:
            found.steps.append(in_step)
        epoch += 1
    _cut(found, wanted)
    found.facts = digests.facts(head="fused" if trainer.fused else "full logits")
    return found


def planned_steps(config: TrainConfig, per_epoch: int) -> int:
    """Optimizer steps of a whole run, as transformers counts them."""
    return config.max_steps or max(1, math.ceil(round(per_epoch * config.epochs, 6)))


def _cut(found: Walk, wanted: int) -> None:
    """Leave out what the run stops before."""
    del found.steps[wanted:]
    del found.buckets[sum(found.steps) :]


class _Digests:
    """Running digests of chosen and rejected sequences, padding taken off."""

    def __init__(self, tokenizer: Any, stop_token_ids: list[int]) -> None:
        self._bos, self._stops = tokenizer.bos_token_id, set(stop_token_ids)
        names = ("chosen_ids", "chosen_scored", "rejected_ids")
        self._hashes = {name: hashlib.sha256() for name in names}
        self._counts: Counter[str] = Counter()
        self._longest = {"chosen": 0, "rejected": 0}

    def add(self, sides: list[tuple[torch.Tensor, torch.Tensor, torch.Tensor]]) -> None:
        for side, (ids, real, scored) in zip(("chosen", "rejected"), sides, strict=False):
            for row in range(len(ids)):
                here = real[row].bool().cpu()
                tokens, learned = ids[row].cpu()[here], scored[row].cpu()[here]
                self._counts[side] += 1
                self._counts["tokens_real"] += len(tokens)
                self._counts["tokens_padded"] += len(here)
                self._counts["left_padded"] += int(not bool(here[0]))
                self._hashes[f"{side}_ids"].update(tokens.numpy().tobytes() + b"|")
                if side == "chosen":
                    self._hashes["chosen_scored"].update(learned.numpy().tobytes() + b"|")
                self._longest[side] = max(self._longest[side], len(tokens))
                self._check(tokens, learned)

    def _check(self, tokens: torch.Tensor, learned: torch.Tensor) -> None:
        if len(tokens) > 1 and int(tokens[0]) == int(tokens[1]) == self._bos:
            self._counts["doubled_bos"] += 1
        if len(tokens) and int(tokens[-1]) in self._stops:
            self._counts["stops"] += 1
            self._counts["stops_learned"] += int(bool(learned[-1]))

    def facts(self, *, head: str) -> dict[str, Any]:
        """Plain JSON for the parity audit."""
        counts = self._counts
        digests = {name: found.hexdigest()[:16] for name, found in self._hashes.items()}
        if not counts["rejected"]:
            digests["rejected_ids"] = None  # type: ignore[assignment]
        return {
            **digests,
            "pairs": counts["chosen"],
            "stop_learned": counts["stops_learned"] / counts["stops"] if counts["stops"] else None,
            "doubled_bos": counts["doubled_bos"],
            "longest_chosen": self._longest["chosen"],
            "longest_rejected": self._longest["rejected"] or None,
            "tokens_real": counts["tokens_real"],
            "tokens_padded": counts["tokens_padded"],
            "padding": "left" if counts["left_padded"] else "right",
            "head": head,
        }
