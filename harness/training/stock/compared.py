"""What the adapters of TRL's trainers of pairs with a reference share: batches, head, whose weights the
reference has, and its forward."""

from __future__ import annotations

from typing import Any

from transformers import PreTrainedModel

from harness.measure.flops import Bucket
from harness.measure.window import AUDIT
from harness.records import HeadFacts, HeadKind, ReferenceFacts, ReferenceHolder, ReferenceMode
from harness.training.fingerprint import fingerprint_weights
from harness.training.job import TrainJob
from harness.training.load import FRESH, Policy, load_base, lora_config
from harness.training.reference import fingerprint_beside
from harness.training.shape import Shape, Side
from harness.training.stock.observed import StockTrainer, fused_head_cost


class Compared(StockTrainer):
    """Put before one of TRL's trainers whose reference scores each micro-batch: a second model, the frozen
    adapter or none."""

    nll_scope = None
    ref_model: PreTrainedModel | None
    _weights: str | None = None

    def __init__(self, job: TrainJob, **settings: Any) -> None:
        super().__init__(job, **settings)
        if self.ref_model is not None:
            self.watch(self.ref_model)
        self.head_cost = fused_head_cost()

    def shape_of(self, batch: Any) -> Shape:
        """Chosen sequences, then rejected ones, as TRL lays them out."""
        size, length = batch["input_ids"].shape
        scored = batch["completion_mask"][:, 1:]
        bucket = Bucket(size, length, int(scored.sum()))
        tokens = int(batch["attention_mask"].sum())
        return Shape(bucket, size // 2, tokens, int(scored[: size // 2].sum()))

    def sides(self, batch: Any) -> list[Side]:
        parts = (batch["input_ids"], batch["attention_mask"] == 1, batch["completion_mask"] == 1)
        return [Side(*(part.chunk(2)[side] for part in parts)) for side in (0, 1)]

    def head_facts(self) -> HeadFacts:
        return HeadFacts(kind=HeadKind.FUSED)

    def prepare_reference(self) -> None:
        """Take the reference's fingerprint while the policy is what it starts from."""
        with self.job.window.phase(AUDIT):
            if self.ref_model is not None:
                self._weights = fingerprint_weights(self.ref_model)
            else:
                self._weights = fingerprint_beside(self.model, "ref" if self._holds_copy() else None)

    def _holds_copy(self) -> bool:
        return "ref" in self.model.peft_config

    def reference_facts(self) -> ReferenceFacts:
        holder = ReferenceHolder.COPY
        if self.ref_model is None:
            holder = ReferenceHolder.ADAPTER if self._holds_copy() else ReferenceHolder.BASE
        return ReferenceFacts(mode=ReferenceMode.IN_LOOP, holder=holder, weights=self._weights)

    def scores_reference_in_loop(self) -> bool:
        return True

    def reference_through_adapters(self) -> bool:
        return self.ref_model is None and self._holds_copy()

    def reference_once(self, bucket: Bucket) -> None:
        self.compute_ref_log_probs(self.ref_model or self.model, self.synthetic_batch(bucket))


def models_of(job: TrainJob, policy: Policy) -> dict[str, Any]:
    """What TRL's trainer is given: the policy, and the model that `job` starts from as its reference."""
    fresh, config = policy.adapters == FRESH, job.config
    copied = policy.adapters is None
    return {
        "model": policy.model.unload() if fresh else policy.model,
        "ref_model": load_base(job.model, job.revision, config, own_code=job.own_code) if copied else None,
        "peft_config": lora_config(config.lora) if fresh and config.lora else None,
    }
