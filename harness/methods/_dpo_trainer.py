"""trl.DPOTrainer with the shared data path, and a reference that is the model it started from."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import torch
import trl

from harness.errors import UserError
from harness.measure.flops import Bucket
from harness.methods import TrainJob
from harness.methods._arguments import arguments
from harness.methods._load import LoadedPolicy, fingerprint_weights, load_base
from harness.methods._shared import SharedTrainer
from harness.methods.dpo import Config


class DPOStage(SharedTrainer, trl.DPOTrainer):
    """TRL's sigmoid loss, weighted by each micro-batch's share of the effective batch's pairs."""

    has_reference = True
    nll_scope = None

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
        self.watch()
        self.reference_weights = reference_fingerprint(self)
        wanted = list(range(len(dataset)) if self.job.rows is None else dict.fromkeys(self.job.rows))
        found: dict[int, tuple[float, float]] = {}
        with self.job.window.phase("reference"):
            for rows in _chunks(wanted, batch_size):
                batch = self._prepare_inputs(self.data_collator([dataset[i] for i in rows]))
                self.reference_buckets.append(self.bucket_of(batch))
                pair = self.compute_ref_log_probs(self.ref_model or self.model, batch)
                found |= dict(zip(rows, zip(pair[0].tolist(), pair[1].tolist(), strict=True), strict=True))
        for name, side in (("ref_chosen_logps", 0), ("ref_rejected_logps", 1)):
            values = [found[i][side] if i in found else math.nan for i in range(len(dataset))]
            dataset = dataset.add_column(name, values)
        return dataset

    @property
    def reference_buckets(self) -> list[Bucket]:
        """Batches of the precomputed reference pass that ran."""
        buckets: list[Bucket] = self.__dict__.setdefault("_reference_buckets", [])
        return buckets

    def reference_buckets_of_all(self) -> list[Bucket]:
        """Batches that the precomputed reference pass has over all of the data."""
        size = self.args.per_device_train_batch_size
        data = self.train_dataset
        return [
            self.bucket_of(self.data_collator([data[i] for i in rows]))
            for rows in _chunks(list(range(len(data))), size)
        ]

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


def _chunks(rows: list[int], size: int) -> Iterator[list[int]]:
    for start in range(0, len(rows), size):
        yield rows[start : start + size]


def reference_fingerprint(trainer: Any) -> str:
    """A digest of the weights that the reference scores with, comparable with the policy's.

    With its adapter switched off the policy is the base model; as long as every B matrix of the
    adapter is zero, the adapted policy is the same function.
    """
    if trainer.ref_model is not None:
        return fingerprint_weights(trainer.ref_model)
    adapters = getattr(trainer.model, "peft_config", None)
    if adapters is None:
        return fingerprint_weights(trainer.model)
    if "ref" in adapters:
        return fingerprint_weights(trainer.model, adapter="ref")
    untouched = all(
        not bool(p.detach().any()) for n, p in trainer.model.named_parameters() if "lora_B.default" in n
    )
    return fingerprint_weights(trainer.model, adapter="default" if untouched else None)


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
