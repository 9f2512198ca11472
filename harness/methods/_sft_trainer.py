"""trl.SFTTrainer with the shared data order, metrics and probe."""

from __future__ import annotations

from typing import Any

import torch
import trl

from harness.methods import TrainJob
from harness.methods._arguments import arguments
from harness.methods._load import LoadedPolicy, as_sft
from harness.methods._odds import sequence_means
from harness.methods._shared import SharedTrainer


class SFTStage(SharedTrainer, trl.SFTTrainer):
    """TRL's loss: the sum over the effective batch's response tokens divided by their count."""

    loss_is_scaled_for_ga = None  # type: ignore[assignment]

    def pairs_of_shape(self, batch: int) -> int:
        return batch

    def _scored_mask(self, batch: dict[str, Any]) -> torch.Tensor:
        mask: torch.Tensor = batch["labels"][:, 1:] != -100
        return mask

    def sides(self, batch: dict[str, Any]) -> list[tuple[torch.Tensor, torch.Tensor, torch.Tensor]]:
        return [(batch["input_ids"], batch["attention_mask"] == 1, batch["labels"] != -100)]

    def compute_loss(
        self,
        model: Any,
        inputs: dict[str, Any],
        return_outputs: bool = False,
        num_items_in_batch: Any = None,
    ) -> Any:
        if "labels" not in inputs:
            mask = inputs.pop("completion_mask")
            inputs["labels"] = inputs["input_ids"].masked_fill(mask == 0, -100)
        self._captured = None
        scored = self._scored_mask(inputs)
        loss = super().compute_loss(model, inputs, return_outputs, num_items_in_batch)
        assert self._captured is not None
        log_probs = self._captured.detach()[:, -scored.size(1) :]
        if self.model.training:
            self.trace.add("logp_chosen", sequence_means(log_probs, scored))
            self.log_nll(-log_probs.sum() / max(self.totals.scored, 1), log_probs.size(0))
        return loss


def build(job: TrainJob, policy: LoadedPolicy, tokenizer: Any, train: Any, test: Any) -> SFTStage:
    """A trainer over the chosen answers of `train`."""
    wants_eval = job.config.early_stopping is not None
    stage = type("SFTStageOfJob", (SFTStage,), {"job": job})
    trainer: SFTStage = stage(
        model=policy.model,
        args=arguments(trl.SFTConfig, job, max_length=None, packing=False, shuffle_dataset=False),
        train_dataset=as_sft(train),
        eval_dataset=as_sft(test) if wants_eval else None,
        processing_class=tokenizer,
        peft_config=policy.peft_config,
    )
    return trainer
