"""trl.DPOTrainer with the shared data path, and a reference that is the model it started from."""

from __future__ import annotations

from typing import Any

import torch
import trl

from harness.errors import UserError
from harness.measure.flops import Bucket
from harness.methods import TrainJob
from harness.methods._arguments import arguments
from harness.methods._load import LoadedPolicy, load_base
from harness.methods._shared import SharedTrainer
from harness.methods.dpo import Config


class DPOStage(SharedTrainer, trl.DPOTrainer):
    """TRL's sigmoid loss, weighted by each micro-batch's share of the effective batch's pairs."""

    has_reference = True
    nll_scope = None

    @property
    def forwarded_per_pair(self) -> int:  # type: ignore[override]
        """Two by the policy, and two by a reference in the loop."""
        return 2 if self.precompute_ref_logps else 4

    @property
    def reference_mode(self) -> str:  # type: ignore[override]
        """What the policy is compared with, and when."""
        if self.precompute_ref_logps:
            return "precomputed"
        if self.ref_model is not None:
            return "in_loop: a frozen copy"
        has_copy = "ref" in self.model.peft_config
        return "in_loop: a frozen adapter" if has_copy else "in_loop: adapter off"

    def _precompute_ref_logps(self, dataset: Any, name: str, batch_size: int) -> Any:
        """The reference pass, on the clock, its results in memory and in no cache."""
        chosen: list[float] = []
        rejected: list[float] = []
        with self.job.window.phase("reference"):
            for start in range(0, len(dataset), batch_size):
                rows = [dataset[i] for i in range(start, min(start + batch_size, len(dataset)))]
                batch = self._prepare_inputs(self.data_collator(rows))
                self._note_reference(batch)
                pair = self.compute_ref_log_probs(self.ref_model or self.model, batch)
                chosen += pair[0].tolist()
                rejected += pair[1].tolist()
        dataset = dataset.add_column("ref_chosen_logps", chosen)
        return dataset.add_column("ref_rejected_logps", rejected)

    def _note_reference(self, batch: dict[str, Any]) -> None:
        size, length = batch["input_ids"].shape
        self.reference_shapes.append((size, length, int(self._scored_mask(batch).sum())))

    @property
    def reference_shapes(self) -> list[tuple[int, int, int]]:
        """Batches of the precomputed reference pass."""
        shapes: list[tuple[int, int, int]] = self.__dict__.setdefault("_reference_shapes", [])
        return shapes

    def compute_loss(
        self,
        model: Any,
        inputs: dict[str, Any],
        return_outputs: bool = False,
        num_items_in_batch: Any = None,
    ) -> Any:
        self._captured = None
        loss = super().compute_loss(model, inputs, return_outputs=False)
        if not self.model.training:
            return (loss, None) if return_outputs else loss
        self._log_pairs(inputs)
        rewards = self._metrics["train"]
        pairs = self._pairs_in(inputs)
        for ours, theirs in (("reward_margin", "margins"), ("reward_accuracy", "accuracies")):
            value = torch.tensor(rewards[f"rewards/{theirs}"][-1])
            self.trace.add(ours, value.expand(pairs))
        return loss * (pairs / self.totals.pairs)

    def synthetic(self, bucket: Bucket) -> dict[str, torch.Tensor]:
        batch = super().synthetic(bucket)
        if self.precompute_ref_logps:
            zeros = torch.zeros(bucket.batch // 2, device=batch["input_ids"].device)
            batch |= {"ref_chosen_logps": zeros, "ref_rejected_logps": zeros}
        return batch

    def reference_once(self, bucket: Bucket) -> None:
        self.compute_ref_log_probs(self.ref_model or self.model, self.synthetic(bucket))


def build(job: TrainJob, policy: LoadedPolicy, tokenizer: Any, train: Any, test: Any) -> DPOStage:
    """A trainer whose reference is the model that `job` starts from."""
    config = job.config
    assert isinstance(config, Config)
    adapters = policy.peft_config is not None or policy.continues_adapter
    if config.reference == "adapter_off" and (not adapters or policy.continues_adapter):
        raise UserError(
            "stages.dpo.reference is adapter_off, but without its adapter this policy is not the "
            "model that DPO starts from",
            remedy="use in_loop or precomputed, or start LoRA from full weights",
        )
    precomputed = config.reference == "precomputed"
    reference = None if adapters or precomputed else load_base(job.model, job)
    wants_eval = config.early_stopping is not None
    stage = type("DPOStageOfJob", (DPOStage,), {"job": job})
    trainer: DPOStage = stage(
        model=policy.model,
        ref_model=reference,
        args=arguments(
            trl.DPOConfig,
            job,
            max_length=None,
            beta=config.beta,
            loss_type="sigmoid",
            precompute_ref_log_probs=precomputed,
        ),
        train_dataset=train,
        eval_dataset=test if wants_eval else None,
        processing_class=tokenizer,
        peft_config=policy.peft_config,
    )
    return trainer
