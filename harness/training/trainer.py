"""The one trainer of every matched method: what differs between methods is their objective.

Losses are divided by the totals of the whole effective batch, so that micro-batches of any size
give the same gradient.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
import transformers

from harness.generate.head import Head, attach
from harness.generate.logprobs import sample_of
from harness.measure.counting import made_really
from harness.measure.flops import Bucket
from harness.measure.theory import CHUNKED, FULL_LOGITS, KEPT, HeadCost
from harness.measure.window import AUDIT, EVALUATION
from harness.methods import (
    MethodModule,
    Objective,
    about,
    nll_scope,
    uniform_reference,
)
from harness.records import (
    HeadFacts,
    HeadKind,
    Implementation,
    LayoutFacts,
    ReferenceFacts,
    ReferenceMode,
)
from harness.training.arguments import arguments
from harness.training.collate import Collator, Rows, length_of, shortest
from harness.training.inputs import model_inputs, sides_of
from harness.training.job import TrainJob
from harness.training.layout import decide_layout
from harness.training.load import Policy, load_policy
from harness.training.logged import log_terms
from harness.training.reference import TRAIN, VALIDATION, Reference, make_reference
from harness.training.router import RouterLoss
from harness.training.scored_once import score_once
from harness.training.shape import Shape, Side
from harness.training.shared import SharingTrainer
from harness.training.trace import Totals


class MatchedTrainer(SharingTrainer):
    """transformers' loop over our batches, with our head and reference, and a method's objective."""

    implementation = Implementation.MATCHED
    loss_is_scaled_for_ga = True
    needs_values = None

    def __init__(
        self,
        job: TrainJob,
        method: MethodModule,
        policy: Policy,
        tokenizer: Any,
        data: Rows,
        validation: Rows | None,
    ) -> None:
        said = about(method, job.config)
        self.nll_scope = nll_scope(job.config)
        self._method = method
        self._reference_ran: list[Bucket] = []
        sample, pad = sample_of([(data[0]["prompt_ids"], data[0]["chosen_ids"])]), tokenizer.pad_token_id
        longest = job.facts.max_length or max(length_of(row) for row in data)
        # By what all arms share, so that none keeps what another makes again.
        most_scored = 2 * job.config.micro_batch_size * longest

        def made_ready(model: Any) -> tuple[Head, LayoutFacts]:
            head = attach(model, sample, most_scored)
            return head, decide_layout(model, head, job.config, data[0], pad, longest)

        with job.window.phase(AUDIT):
            self.head, self.layout = made_ready(policy.model)
        stand_in = None if job.ranks.alone else shortest(data, job.rows)
        self._collator = Collator(pad, said.data == "pairs", self.nll_scope, self.layout, stand_in)
        self.head_cost = _cost_of(self.head)
        coefficient = job.config.router_aux_loss
        self.router = RouterLoss(policy.model, coefficient) if coefficient else None
        super().__init__(
            job,
            model=policy.model,
            args=arguments(transformers.TrainingArguments, job, remove_unused_columns=False),
            train_dataset=data,
            eval_dataset=validation,
            processing_class=tokenizer,
            data_collator=self._collator,
            compute_loss_func=_divided_here,
        )
        self._sample, self._made_ready = sample, made_ready
        self.reference = self._make_reference(policy, self.watch) if said.reference else None

    def _make_reference(self, policy: Policy, watch: Callable[[Any], None]) -> Reference:
        return make_reference(self.job, policy, self._sample, watch, self.layout.flat)

    def be_whole_again(self, weights: dict[str, torch.Tensor]) -> None:
        """After training, on rank 0: a model that is not sharded, with the trained weights."""
        self.model_wrapped = self.optimizer = None
        delattr(self, "model")
        self.accelerator.free_memory()
        policy = load_policy(self.job)
        self._made_ready(policy.model)
        if self.reference is not None:
            self.reference.scorer = self._make_reference(policy, lambda model: None).scorer
        policy.model.load_state_dict(weights, strict=False)
        self.model = policy.model

    def compute_loss(
        self,
        model: Any,
        inputs: dict[str, Any],
        return_outputs: bool = False,
        num_items_in_batch: Any = None,
    ) -> Any:
        """The objective's terms over the effective batch, the share of this micro-batch."""
        training = self.model.training
        split = TRAIN if training else VALIDATION
        reference = None if self.reference is None else self.reference(inputs, split)
        log_probs = model(**model_inputs(inputs))
        if uniform_reference(self.job.config):
            reference = torch.zeros_like(log_probs)
        batch = sides_of(inputs, log_probs, reference)
        objective = self._method.objective(batch, self.job.config)
        shape = inputs["shape"]
        totals = self.totals if training else Totals(shape.pairs, max(1, shape.nll_tokens))
        terms = _divided(objective, totals)
        if self.router is not None:
            terms["router"] = self.router.term(inputs["attention_mask"]) * (shape.pairs / totals.pairs)
        if training:
            log_terms(self.trace, batch, objective, terms, totals, void="void" in inputs)
        loss = torch.stack(list(terms.values())).sum()
        if training and not self.job.ranks.alone:
            # Engines average gradients over the ranks, of which each holds its own share of the sum.
            loss = loss * (0 if "void" in inputs else self.job.ranks.size)
        return (loss, None) if return_outputs else loss

    def training_step(self, model: Any, inputs: dict[str, Any], *args: Any, **kwargs: Any) -> Any:
        """One micro-batch; the sequences of a void one are not counted."""
        self.trace.in_void = "void" in inputs
        try:
            return super().training_step(model, inputs, *args, **kwargs)
        finally:
            self.trace.in_void = False

    def prediction_step(self, model: Any, inputs: Any, *args: Any, **kwargs: Any) -> Any:
        """The loss alone, which is all that early stopping asks for."""
        with torch.no_grad():
            loss = self.compute_loss(model, self._prepare_inputs(inputs))
        return loss.detach(), None, None

    def shape_of(self, batch: Any) -> Shape:
        shape: Shape = batch["shape"]
        return shape

    def sides(self, batch: Any) -> list[Side]:
        return self._collator.sides(batch)

    def synthetic_batch(self, bucket: Bucket) -> dict[str, Any]:
        vocabulary = int(self.model.get_output_embeddings().weight.shape[0])
        prepared: dict[str, Any] = self._prepare_inputs(self._collator.synthetic_batch(bucket, vocabulary))
        return prepared

    def head_facts(self) -> HeadFacts:
        head = self.head
        return HeadFacts(
            kind=HeadKind.FULL_LOGITS if head.chunk is None else HeadKind.CHUNKED,
            chunk_positions=head.chunk,
            keeps_logits=head.keeps,
            difference=head.difference,
            tolerance=head.tolerance,
            reason=head.reason,
        )

    def layout_facts(self) -> LayoutFacts:
        return self.layout

    def router_loss(self) -> float | None:
        return super().router_loss() if self.router is None else self.router.coefficient

    def reference_facts(self) -> ReferenceFacts | None:
        return None if self.reference is None else self.reference.facts()

    def prepare_reference(self) -> None:
        """Take the reference's fingerprint, and let one that scores once before training do so."""
        if self.reference is None:
            return
        with self.job.window.phase(AUDIT):
            self.reference.remember_weights()
        if self.reference.mode is ReferenceMode.PRECOMPUTED:
            data, rows = self.train_dataset, self.job.rows
            batches = functools.partial(self._in_order, data, rows, own=True)
            self._reference_ran = score_once(self, self.reference, data, batches)
            if self.eval_dataset is not None:
                with self.job.window.phase(EVALUATION):
                    held_out = self._in_order(self.eval_dataset, own=True)
                    self.reference.precompute(held_out, VALIDATION)
                    self.reference.share(self.job.ranks, VALIDATION)

    def _in_order(
        self, data: Any, wanted: Sequence[int] | None = None, *, own: bool = False
    ) -> Iterator[dict[str, Any]]:
        """All of `data` or the `wanted` rows, each once, in micro-batches, on the device; its `own` are those
        that are this rank's turn."""
        rows = list(range(len(data)) if wanted is None else dict.fromkeys(wanted))
        size, ranks = self.job.config.micro_batch_size, self.job.ranks
        first, every = (ranks.rank, ranks.size) if own else (0, 1)
        for start in range(first * size, len(rows), every * size):
            batch: dict[str, Any] = self._collator([data[i] for i in rows[start : start + size]])
            yield self._prepare_inputs(batch)

    def reference_buckets(self, *, whole: bool) -> list[Bucket]:
        if not whole or not self._reference_ran:
            return list(self._reference_ran)
        return [batch["shape"].bucket for batch in self._in_order(self.train_dataset)]

    def scores_reference_in_loop(self) -> bool:
        return self.reference is not None and self.reference.mode is ReferenceMode.IN_LOOP

    def reference_through_adapters(self) -> bool:
        return self.reference is not None and self.reference.scorer.through_adapters

    def reference_once(self, bucket: Bucket) -> None:
        assert self.reference is not None
        self.reference.scorer(made_really(lambda: self.synthetic_batch(bucket)))

    def models(self) -> list[Any]:
        copy = getattr(self.reference and self.reference.scorer, "model", None)
        return [self.model] if copy is None else [self.model, copy]


def _cost_of(head: Head) -> HeadCost:
    if head.chunk is None:
        return FULL_LOGITS
    return KEPT if head.keeps else CHUNKED


def _divided_here(*_: Any, **__: Any) -> None:
    """Never called: `compute_loss` is ours. A loss function of the caller's own is how transformers before
    `loss_is_scaled_for_ga` knows that it must not divide by the number of micro-batches again."""
    raise AssertionError("MatchedTrainer.compute_loss does not ask transformers for a loss")


def _divided(objective: Objective, totals: Totals) -> dict[str, torch.Tensor]:
    """Each term's share of the loss over the effective batch."""
    terms = {name: term.sum() / totals.nll_tokens for name, term in objective.per_token.items()}
    return terms | {name: term.sum() / totals.pairs for name, term in objective.per_pair.items()}
