"""ORPO on the data path, collator, fused head and logging of trl.DPOTrainer: only the loss differs."""

from __future__ import annotations

from typing import Any

import torch
import trl

from harness.methods import TrainJob
from harness.methods._arguments import arguments
from harness.methods._load import LoadedPolicy
from harness.methods._odds import log_odds, sequence_means
from harness.methods._shared import SharedTrainer
from harness.methods.orpo import Config


class ORPOStage(SharedTrainer, trl.DPOTrainer):
    """L = NLL(chosen) - lambda * mean(logsigmoid(log_odds)) (Hong et al. 2024, eq. 6 and 7).

    The NLL is the sum over the effective batch's scored tokens divided by their count, as in SFT;
    the odds-ratio term is the mean over the effective batch's pairs.
    """

    @property
    def nll_scope(self) -> str:  # type: ignore[override]
        """Whether the prompt's tokens count in the NLL."""
        config = self.job.config
        assert isinstance(config, Config)
        return config.nll_scope

    def _precompute_ref_logps(self, dataset: Any, name: str, batch_size: int) -> Any:
        """ORPO has no reference, and precomputing nothing keeps TRL from loading one."""
        return dataset

    def _nll_labels(self, inputs: dict[str, Any]) -> torch.Tensor:
        config = self.job.config
        assert isinstance(config, Config)
        whole = config.nll_scope == "prompt+response"
        mask = inputs["attention_mask" if whole else "completion_mask"]
        return inputs["input_ids"].masked_fill(mask == 0, -100)

    def sides(self, batch: dict[str, Any]) -> list[tuple[torch.Tensor, torch.Tensor, torch.Tensor]]:
        (ids, real, _), rejected = super().sides(batch)
        return [(ids, real, (self._nll_labels(batch) != -100).chunk(2)[0]), rejected]

    def get_batch_samples(self, *args: Any, **kwargs: Any) -> Any:
        batches, items = super().get_batch_samples(*args, **kwargs)
        labels = [self._nll_labels(b)[: self._pairs_in(b), 1:] for b in batches]
        self.totals.scored = int(sum(int((row != -100).sum()) for row in labels))
        return batches, items

    def _compute_loss(self, model: Any, inputs: dict[str, Any], return_outputs: bool) -> Any:
        config = self.job.config
        assert isinstance(config, Config)
        pairs = self._pairs_in(inputs)
        labels = inputs["input_ids"].masked_fill(inputs["completion_mask"] == 0, -100)
        labels[:pairs] = self._nll_labels(inputs)[:pairs]
        outputs = model(
            input_ids=inputs["input_ids"],
            attention_mask=inputs["attention_mask"],
            use_cache=False,
            labels=labels,
            fused_lm_head=True,
        )
        scored = self._scored_mask(inputs)
        log_probs = outputs.log_probs[:, -scored.size(1) :].float()
        chosen, rejected = sequence_means(log_probs, scored).chunk(2)
        ratio = torch.nn.functional.logsigmoid(log_odds(chosen, rejected))
        training = self.model.training
        tokens = self.totals.scored if training else int((labels[:pairs, 1:] != -100).sum())
        nll = -log_probs[:pairs].sum() / max(tokens, 1)
        loss = nll - config.lambda_ * ratio.sum() / (self.totals.pairs if training else pairs)
        if training:
            self.log_means(chosen.detach(), rejected.detach())
            self.log_nll(nll, pairs)
        return (loss, outputs) if return_outputs else loss


def build(job: TrainJob, policy: LoadedPolicy, tokenizer: Any, train: Any, test: Any) -> ORPOStage:
    """A single-stage trainer that never holds a reference model."""
    wants_eval = job.config.early_stopping is not None
    stage = type("ORPOStageOfJob", (ORPOStage,), {"job": job})
    trainer: ORPOStage = stage(
        model=policy.model,
        args=arguments(trl.DPOConfig, job, max_length=None, precompute_ref_log_probs=True),
        train_dataset=train,
        eval_dataset=test if wants_eval else None,
        processing_class=tokenizer,
        peft_config=policy.peft_config,
    )
    return trainer
