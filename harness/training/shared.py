"""What several ranks change of transformers' loop: whose micro-batches, whose weights, who writes.

On one rank nothing of it acts.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from transformers.trainer import OPTIMIZER_NAME, SCHEDULER_NAME
from transformers.utils import SAFE_WEIGHTS_NAME

from harness.measure.window import CHECKPOINT
from harness.training.observed import ObservedTrainer
from harness.training.order import FixedOrder, RanksBatches
from harness.training.sharded import (
    Engine,
    deal_out_optimizer,
    deal_out_weights,
    is_sharded,
    shard,
    whole_optimizer,
    whole_weights,
)


class SharingTrainer(ObservedTrainer):
    """A trainer that each of a stage's ranks has, over one effective batch."""

    def get_train_dataloader(self) -> Any:
        """Micro-batches in order; of several ranks, those that are this one's turn."""
        ranks, size = self.job.ranks, self.job.config.micro_batch_size
        if ranks.alone:
            return super().get_train_dataloader()
        order = self._get_train_sampler()
        per_step = self.job.config.batch_size // size
        batches = RanksBatches(order, size, per_step, ranks.rank, ranks.size)
        if self._in_whole_epochs:
            batches = RanksBatches(order, size, per_step, 0, 1)
        return self._loader(self.train_dataset, batches)

    def get_eval_dataloader(self, eval_dataset: Any = None) -> Any:
        """Every rank evaluates all pairs, so that all of them stop early at one loss."""
        if self.job.ranks.alone:
            return super().get_eval_dataloader(eval_dataset)
        order = FixedOrder(range(len(self.eval_dataset)))
        return self._loader(self.eval_dataset, RanksBatches(order, self.job.config.micro_batch_size, 1, 0, 1))

    def _loader(self, data: Any, batches: RanksBatches) -> Any:
        """One that accelerate does not deal out again: it would repeat rows to even the ranks' shares."""
        pinned = self.args.dataloader_pin_memory
        return torch.utils.data.DataLoader(
            data, batch_sampler=batches, collate_fn=self.data_collator, pin_memory=pinned
        )

    @property
    def shards(self) -> bool:
        """Whether training deals out the weights over ranks."""
        return not self.job.ranks.alone and self.job.config.parallel == "fsdp2"

    def create_optimizer(self, *args: Any, **kwargs: Any) -> Any:
        """Of the weights that this rank has."""
        if self.shards and not is_sharded(self.model):
            for model in self.models():
                shard(model)
        return super().create_optimizer(*args, **kwargs)

    def _wrap_model(self, model: Any, *args: Any, **kwargs: Any) -> Any:
        return Engine(self.model) if is_sharded(self.model) else super()._wrap_model(model, *args, **kwargs)

    def gather_weights(self) -> dict[str, torch.Tensor] | None:
        """All trained weights on rank 0's host, where each rank has a share of them; else None."""
        return whole_weights(self.model) if is_sharded(self.model) else None

    def _load_best_model(self) -> None:
        if not is_sharded(self.model):
            super()._load_best_model()
            return
        with self.job.window.phase(CHECKPOINT):
            file = Path(self.state.best_model_checkpoint) / SAFE_WEIGHTS_NAME
            deal_out_weights(self.model, load_file(file) if self.job.ranks.first else {})

    def save_model(self, output_dir: str | None = None, _internal_call: bool = False) -> None:
        """A checkpoint's weights, whole."""
        weights = self.gather_weights()
        if weights is None:
            super().save_model(output_dir, _internal_call)
        elif self.job.ranks.first:
            self._save(output_dir, state_dict=weights)

    def _save_optimizer_and_scheduler(self, output_dir: str) -> None:
        if not is_sharded(self.model):
            super()._save_optimizer_and_scheduler(output_dir)
            return
        state = whole_optimizer(self.model, self.optimizer.optimizer)
        if self.job.ranks.first:
            torch.save(state, Path(output_dir) / OPTIMIZER_NAME)
            torch.save(self.lr_scheduler.state_dict(), Path(output_dir) / SCHEDULER_NAME)

    def _load_optimizer_and_scheduler(self, checkpoint: str | None) -> None:
        if checkpoint is None or not is_sharded(self.model):
            super()._load_optimizer_and_scheduler(checkpoint)
            return
        with self.job.window.phase(CHECKPOINT):
            file = Path(checkpoint) / OPTIMIZER_NAME
            state = torch.load(file, weights_only=True) if self.job.ranks.first else {}
            deal_out_optimizer(self.model, self.optimizer.optimizer, state)
            self.lr_scheduler.load_state_dict(
                torch.load(Path(checkpoint) / SCHEDULER_NAME, weights_only=True)
            )
