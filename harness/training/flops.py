"""FLOPs of a training stage: counted, and from formulas beside them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from harness.measure import theory
from harness.measure.flops import Bucket, FlopCount, FlopModel
from harness.records import Measurement
from harness.training.job import StageTrainer

COUNTED = "torch FlopCounterMode, outside the timed run"
NO_REFERENCE = "this method has no reference model"


@dataclass(frozen=True)
class StageFlops:
    """Counts of a run over `buckets`, whose reference saw `in_loop` within the steps and `before`.

    `by_micro_batch[i]` is what micro-batch i took, its reference in the loop included.
    """

    total: int
    once: int
    reference: int | None
    by_micro_batch: list[int]
    theory: float
    body: float
    useful: float
    unknown_ops: tuple[str, ...]
    how: str

    def ledger(self) -> list[Measurement]:
        """The stage's entries."""
        return [
            _entry("flops", self.total, COUNTED),
            _entry("reference_flops", self.reference, COUNTED, NO_REFERENCE),
            _entry("flops_theory", self.theory, "formula"),
            _entry("body_flops", self.body, "formula: the blocks' matrices alone"),
            _entry("useful_flops", self.useful, "formula: without any recomputation"),
        ]


@dataclass
class Counted:
    """Counts of one trainer's steps and reference passes, kept for the next time it is counted."""

    steps: dict[Bucket, FlopCount] = field(default_factory=dict)
    reference: dict[Bucket, FlopCount] = field(default_factory=dict)


def count(
    trainer: StageTrainer,
    buckets: Sequence[Bucket],
    before: Sequence[Bucket],
    counted_before: Counted | None = None,
) -> StageFlops:
    """FLOPs of micro-batches `buckets` and of a reference pass over `before`."""
    trainer.model.train()
    known = counted_before or Counted()
    ran, once = Counter(buckets), Counter(before)
    steps = FlopModel(ran, trainer.step_once, known.steps)
    counted = steps.total(ran)
    in_loop = ran if trainer.scores_reference_in_loop() else Counter[Bucket]()
    seen = in_loop + once
    reference = FlopModel(seen, trainer.reference_once, known.reference).total(seen) if seen else None
    ahead = reference.total if reference and once else 0
    expected, body, useful = _theory(trainer, ran, seen)
    return StageFlops(
        total=counted.total + ahead,
        once=ahead,
        reference=reference.total if reference else None,
        by_micro_batch=[steps.of(b) for b in buckets],
        theory=expected,
        body=body,
        useful=useful,
        unknown_ops=tuple(sorted({*counted.unknown_ops, *(reference.unknown_ops if reference else ())})),
        how=counted.how,
    )


def _theory(
    trainer: StageTrainer, ran: Counter[Bucket], reference: Counter[Bucket]
) -> tuple[float, float, float]:
    """FLOPs from formulas: of the whole, of the blocks' matrices alone, and without recomputation."""
    config, model = trainer.job.config, trainer.model
    shape = theory.ModelShape.of_model(model)
    head = trainer.head_cost
    total = theory.train_flops(
        shape,
        ran,
        checkpointing=1.0 if config.gradient_checkpointing else 0.0,
        attention="eager" if config.attention == "eager" else "flash",
        head=head,
    )
    adapters = trainer.reference_through_adapters()
    total += theory.forward_flops(shape, reference, head=head, adapters=adapters)
    body = theory.body_flops(shape, ran, passes=4 if shape.lora else 6)
    body += theory.body_flops(shape, reference, passes=2)
    useful = theory.useful_flops(shape, ran) + theory.forward_flops(shape, reference, adapters=adapters)
    return total, body, useful


def cumulative(by_micro_batch: Sequence[int], per_step: Sequence[int], once: int) -> list[int]:
    """FLOPs up to the end of each optimizer step, `once` first: (steps + 1,)."""
    totals, first = [once], 0
    for size in per_step:
        totals.append(totals[-1] + sum(by_micro_batch[first : first + size]))
        first += size
    return totals


def _entry(quantity: str, value: float | None, source: str, reason: str | None = None) -> Measurement:
    return Measurement(
        quantity=quantity,
        value=value,
        unit="FLOP",
        scope="stage",
        source=source,
        reason=reason if value is None else None,
    )
