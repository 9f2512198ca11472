"""FLOPs of a training stage: counted, and from formulas beside them."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from harness.generate.flat_attention import attention_of
from harness.measure import theory
from harness.measure.counting import StepCounter
from harness.measure.flops import Bucket, FlopModel, fit_on
from harness.measure.model_shape import ATTENDING, ModelShape, NoFormula
from harness.records import Measurement
from harness.training.job import StageTrainer
from harness.training.kept_counts import KeptCounts, kept_counts

# Experts that torch's own operations multiply, and packages that launch a recurrence's kernels themselves.
TORCHS_EXPERTS = ("eager", "batched_mm", "grouped_mm")
RECURRENT_KERNELS = ("mamba_ssm", "causal_conv1d", "fla")
COUNTED = "torch FlopCounterMode, outside the timed run"
NO_REFERENCE = "this method has no reference model"


@dataclass(frozen=True)
class StageFlops:
    """Counts of a run over `buckets`, whose reference saw `in_loop` within the steps and `before`.

    `by_micro_batch[i]` is what micro-batch i took, its reference in the loop included. Figures from formulas
    are None where the model has no formula, and `no_formula` says why. `apart` is what no micro-batch
    computes, by part; it is in the totals, and in those of the micro-batch before which it was done.
    """

    total: int
    once: int
    reference: int | None
    by_micro_batch: list[int]
    theory: float | None
    body: float | None
    useful: float | None
    no_formula: str | None
    unknown_ops: tuple[str, ...]
    how: str
    apart: Mapping[str, int] = field(default_factory=dict)

    def ledger(self) -> list[Measurement]:
        """The stage's entries."""
        return [
            _entry("flops", self.total, COUNTED),
            _entry("reference_flops", self.reference, COUNTED, NO_REFERENCE),
            _entry("flops_theory", self.theory, "formula", self.no_formula),
            _entry("body_flops", self.body, "formula: the blocks' matrices alone", self.no_formula),
            _entry("useful_flops", self.useful, "formula: without any recomputation", self.no_formula),
            *(_entry(f"{part}_flops", flops, COUNTED) for part, flops in self.apart.items()),
        ]


@dataclass(frozen=True)
class Counted:
    """What any of one trainer's steps and reference passes takes.

    Where it counts on shapes alone, `counter` has been checked on a small step of that trainer.
    """

    counter: StepCounter
    steps: FlopModel
    reference: FlopModel | None
    kept: KeptCounts

    @classmethod
    def of(cls, trainer: StageTrainer, buckets: Sequence[Bucket], before: Sequence[Bucket]) -> Counted:
        """Large steps by shapes alone where a small one shows that it can be; `buckets` and `before` are to
        expect."""
        trainer.model.train()
        kept, small = kept_counts(trainer), fit_on(buckets)[-1]
        counter = StepCounter(trainer.models(), kept.why_real or trainer.needs_values)
        known = dict(kept.steps)
        if small not in known and counter.by_shapes(_largest(buckets, before)):
            known[small] = counter.check(lambda: trainer.step_once(small))
        steps = FlopModel(Counter(buckets), trainer.step_once, known, counter)
        seen = _seen(trainer, buckets, before)
        passes = FlopModel(seen, trainer.reference_once, kept.reference, counter) if seen else None
        return cls(counter, steps, passes, kept)

    def keep(self) -> None:
        """Keep what was counted for other stages."""
        self.kept.why_real = self.counter.why_real
        self.kept.keep(self.steps.counts, self.reference.counts if self.reference else {})


def count(
    trainer: StageTrainer,
    buckets: Sequence[Bucket],
    before: Sequence[Bucket],
    known: Counted | None = None,
    steps: Sequence[int] = (),
) -> StageFlops:
    """FLOPs of micro-batches `buckets` and of a reference pass over `before`; what is `known` is not
    counted again. `steps` are the micro-batches of each optimizer step."""
    known = known or Counted.of(trainer, buckets, before)
    ran, once = Counter(buckets), Counter(before)
    seen = _seen(trainer, buckets, before)
    counted = known.steps.total(ran)
    reference = known.reference.total(seen) if known.reference else None
    ahead = reference.total if reference and once else 0
    by_micro_batch = [known.steps.of(b) for b in buckets]
    apart = trainer.apart(steps)
    for part in apart.values():
        for place, flops in part.items():
            by_micro_batch[place] += flops
    beside = {name: sum(part.values()) for name, part in apart.items()}
    known.keep()
    formulas = _formulas(trainer, ran, seen)
    unknown = {*counted.unknown_ops, *(reference.unknown_ops if reference else ())}
    return StageFlops(
        total=counted.total + ahead + sum(beside.values()),
        once=ahead,
        reference=reference.total if reference else None,
        by_micro_batch=by_micro_batch,
        theory=formulas.whole,
        body=formulas.body,
        useful=formulas.useful,
        no_formula=formulas.reason,
        unknown_ops=tuple(sorted(unknown | unseen_kernels(trainer.model))),
        how=f"{counted.how}, {known.counter.how(_largest(buckets, before))}",
        apart=beside,
    )


def _largest(*buckets: Sequence[Bucket]) -> int:
    """Tokens of the largest of them."""
    return max((bucket.tokens for some in buckets for bucket in some), default=0)


def _seen(trainer: StageTrainer, buckets: Sequence[Bucket], before: Sequence[Bucket]) -> Counter[Bucket]:
    """What the reference scores, within the steps and before them."""
    in_loop = buckets if trainer.scores_reference_in_loop() else ()
    return Counter([*in_loop, *before])


def unseen_kernels(model: Any) -> set[str]:
    """What may multiply without passing torch's dispatcher, by name: experts' kernels of other libraries,
    and those of recurrences, where their library is loaded."""
    config = model.config.get_text_config()
    experts = getattr(config, "_experts_implementation", None)
    unseen = {f"experts: {experts}"} if experts not in (None, *TORCHS_EXPERTS) else set()
    recurrent = set(getattr(config, "layer_types", None) or ()) - set(ATTENDING)
    return unseen | ({f"package {name}" for name in RECURRENT_KERNELS if name in sys.modules and recurrent})


@dataclass(frozen=True)
class _Formulas:
    """FLOPs from formulas: of the whole, of the blocks' matrices alone, and without recomputation."""

    whole: float | None = None
    body: float | None = None
    useful: float | None = None
    reason: str | None = None


def _formulas(trainer: StageTrainer, ran: Counter[Bucket], reference: Counter[Bucket]) -> _Formulas:
    config, head = trainer.job.config, trainer.head_cost
    if trainer.no_formula is not None:
        return _Formulas(reason=trainer.no_formula)
    try:
        shape = ModelShape.of_model(trainer.model)
    except NoFormula as unknown:
        return _Formulas(reason=str(unknown))
    whole = theory.train_flops(
        shape,
        ran,
        checkpointing=1.0 if config.gradient_checkpointing else 0.0,
        attention=_attention(trainer.model, shape),
        head=head,
    )
    adapters = trainer.reference_through_adapters()
    body = theory.body_flops(shape, ran, passes=4 if shape.lora else 6)
    besides, scored = _times(ran, trainer.forwards_besides), _times(reference, 1 + trainer.forwards_besides)
    return _Formulas(
        whole=whole
        + theory.forward_flops(shape, besides, head=head, adapters=True)
        + theory.forward_flops(shape, scored, head=head, adapters=adapters),
        body=body + theory.body_flops(shape, besides + scored, passes=2),
        useful=theory.useful_flops(shape, ran)
        + theory.forward_flops(shape, besides, adapters=True)
        + theory.forward_flops(shape, scored, adapters=adapters),
    )


def _times(buckets: Counter[Bucket], times: int) -> Counter[Bucket]:
    return Counter({bucket: count * times for bucket, count in buckets.items()})


def _attention(model: Any, shape: ModelShape) -> theory.Attention:
    """Whether scores are made again in the backward pass; a CPU has no fused kernel for keys and values of
    different widths."""
    unequal = shape.scores != shape.values and model.device.type == "cpu"
    return "eager" if attention_of(model) == "eager" or unequal else "flash"


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
