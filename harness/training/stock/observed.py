"""What the adapters of TRL's trainers share beyond the observation of any trainer."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import ClassVar

import torch

from harness.measure import device
from harness.measure.flops import Bucket
from harness.measure.theory import HeadCost
from harness.records import Implementation
from harness.training.observed import ObservedTrainer


class StockTrainer(ObservedTrainer):
    """Put before one of TRL's trainers. `names` maps TRL's metrics to ours."""

    implementation = Implementation.STOCK
    names: ClassVar[Mapping[str, str]] = {}

    @property
    def vocabulary(self) -> int:
        """Number of token ids the model knows."""
        return int(self.model.get_output_embeddings().weight.shape[0])

    def stored_metrics(self) -> Mapping[str, list[float]]:
        """What TRL kept of its metrics since it last logged."""
        stored: Mapping[str, list[float]] = self._metrics["train"]
        return stored

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """TRL's stored metrics under our names."""
        stored = self.stored_metrics()
        for theirs, ours in self.names.items():
            for value in stored.get(theirs, []):
                self.trace.add(ours, torch.as_tensor(value, dtype=torch.float32).reshape(1))
        super().log(logs, start_time)


def fused_head_cost() -> HeadCost:
    """TRL's fused head works at every position that predicts where it has no Triton."""
    return HeadCost(recomputes=True, positions="scored" if device.kind() == "cuda" else "next")


def random_sequences(bucket: Bucket, vocabulary: int) -> dict[str, torch.Tensor]:
    """Random tokens of the bucket's shape with its number of scored positions, on the CPU."""
    shape = (bucket.batch, bucket.length)
    ids = torch.randint(0, vocabulary, shape, generator=torch.Generator().manual_seed(0))
    mask = torch.zeros(shape, dtype=torch.long)
    places = itertools.product(range(bucket.length - 1, 0, -1), range(bucket.batch))
    for column, row in itertools.islice(places, bucket.scored):
        mask[row, column] = 1
    return {"input_ids": ids, "attention_mask": torch.ones_like(ids), "completion_mask": mask}
