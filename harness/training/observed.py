"""A trainer of transformers or TRL with our order of pairs, clock and names of metrics."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import transformers

from harness.generate.precision import PrecisionKind
from harness.measure.counting import made_really
from harness.measure.flops import Bucket
from harness.measure.theory import HeadCost
from harness.measure.window import CHECKPOINT, EVALUATION
from harness.pipeline.training_spec import TrainConfig
from harness.records import HeadFacts, Implementation, LayoutFacts, ReferenceFacts, RewardFacts
from harness.training.collate import PADDED
from harness.training.fingerprint import fingerprint_weights
from harness.training.job import Apart, TrainJob
from harness.training.load import precision_of
from harness.training.optimizer import stochastic_optimizer
from harness.training.order import EpochOrder, FixedOrder
from harness.training.router import router_loss_of
from harness.training.shape import Shape, Side, Walk
from harness.training.trace import Totals, Trace, watch_sequences
from harness.training.walk import walk

KEPT = ("loss", "grad_norm", "learning_rate")


class ObservedTrainer(transformers.Trainer):
    """Put before a trainer class (or alone, on transformers'), it leaves a trace of the run.

    Subclasses say what a batch holds (`shape_of`, `sides`), how to make one up (`synthetic_batch`),
    and what their head and reference are.
    """

    implementation: Implementation
    nll_scope: str | None
    head_cost: HeadCost
    # Batches of a micro-batch's size that policy and reference score besides it, without a gradient.
    forwards_besides = 0
    # Why a step of it cannot run on shapes alone, None where it can.
    needs_values: str | None = "this trainer reads values in its steps"
    no_formula: str | None = None

    def __init__(self, job: TrainJob, **settings: Any) -> None:
        self.job, self.trace, self.totals = job, Trace(ranks=job.ranks), Totals()
        self._in_whole_epochs = False
        super().__init__(**settings)
        self.watch(self.model)

    def watch(self, model: Any) -> None:
        """Count the sequences that go through `model`."""
        watch_sequences(model, self.trace, lambda: self.job.window.current)

    def shape_of(self, batch: Any) -> Shape:
        """A batch of the loader in numbers."""
        raise NotImplementedError

    def sides(self, batch: Any) -> list[Side]:
        """Chosen and, where there are any, rejected sequences of a batch."""
        raise NotImplementedError

    def synthetic_batch(self, bucket: Bucket) -> dict[str, Any]:
        """A batch of random tokens of a bucket's shape, on the device."""
        raise NotImplementedError

    def start_fingerprint(self) -> str:
        """A digest of the weights that the stage starts from."""
        return fingerprint_weights(self.model)

    def micro_batch_pairs(self) -> int:
        """Pairs in a micro-batch, as the trainer has it."""
        return int(self.args.per_device_train_batch_size)

    def course(self, config: TrainConfig, stop_token_ids: list[int]) -> Walk:
        """The loader walked from its first batch to the run's last."""
        return walk(self, config, stop_token_ids=stop_token_ids)

    def apart(self, steps: Sequence[int]) -> Apart:
        """All that a step computes is in its micro-batches, unless a subclass says else."""
        return {}

    def reward_facts(self, held_out: Path) -> RewardFacts | None:
        """There is no learned reward, unless a subclass says else."""
        return None

    def head_facts(self) -> HeadFacts | None:
        """How log-probs are made."""
        raise NotImplementedError

    def layout_facts(self) -> LayoutFacts:
        """How micro-batches stand in memory: padded, unless a subclass says else."""
        return PADDED

    def reference_facts(self) -> ReferenceFacts | None:
        """What the policy is compared with: nothing, unless a subclass says else."""
        return None

    def router_loss(self) -> float | None:
        """The coefficient of the experts' load-balancing loss as it is added; None for a dense model."""
        return router_loss_of(self)

    def prepare_reference(self) -> None:
        """Nothing is scored before training, unless a subclass says else."""

    def reference_buckets(self, *, whole: bool) -> list[Bucket]:
        """Batches that a reference scored before training."""
        return []

    def scores_reference_in_loop(self) -> bool:
        """Whether each micro-batch is scored by a reference too."""
        return False

    def reference_through_adapters(self) -> bool:
        """Whether the reference's forward goes through adapters."""
        return False

    def reference_once(self, bucket: Bucket) -> None:
        """The reference's forward of one made micro-batch."""
        raise NotImplementedError

    def models(self) -> list[Any]:
        """Every model whose weights a step reads."""
        return [self.model]

    @property
    def shards(self) -> bool:
        """Whether each rank has a share of the weights while it trains: no, unless a subclass says else."""
        return False

    def gather_weights(self) -> dict[str, Any] | None:
        """All trained weights on rank 0's host, where each rank has a share of them; else None."""
        return None

    def be_whole_again(self, weights: dict[str, Any]) -> None:
        """After training, on rank 0: a model that is not sharded, with the trained weights."""
        raise NotImplementedError

    def step_once(self, bucket: Bucket) -> None:
        """Forward and backward of one made micro-batch, for counting."""
        inputs = made_really(lambda: self.synthetic_batch(bucket))
        shape = self.shape_of(inputs)
        self.totals = Totals(shape.pairs, shape.nll_tokens)
        try:
            loss = self.compute_loss(self.model, inputs, num_items_in_batch=shape.nll_tokens)
            self.accelerator.backward(loss)
        finally:
            self.model.zero_grad()
            self.trace.forget_values()

    def whole_epochs(self) -> Any:
        """The loader of an epoch over all of the data, whatever rows the job names."""
        self._in_whole_epochs = True
        try:
            return self.get_train_dataloader()
        finally:
            self._in_whole_epochs = False

    def _get_train_sampler(self, train_dataset: Any = None) -> EpochOrder | FixedOrder:
        if self.job.rows is not None and not self._in_whole_epochs:
            return FixedOrder(self.job.rows)
        return EpochOrder(len(train_dataset or self.train_dataset), self.job.seed)

    def get_batch_samples(self, *args: Any, **kwargs: Any) -> Any:
        """Note the shapes of the effective batch and what its losses are divided by."""
        batches, items = super().get_batch_samples(*args, **kwargs)
        own = [self.shape_of(batch) for batch in batches if "void" not in batch]
        void = [self.shape_of(batch) for batch in batches if "void" in batch]
        self.totals = self.trace.note(own, void)
        return batches, items

    def create_optimizer(self, *args: Any, **kwargs: Any) -> Any:
        """Where the precision rounds stochastically, an optimizer that does."""
        if precision_of(self.job.config).kind is PrecisionKind.STOCHASTIC:
            self.optimizer_cls_and_kwargs = stochastic_optimizer(self.job.config)
        return super().create_optimizer(*args, **kwargs)

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Keep one row an optimizer step under our own names."""
        step = self.state.global_step
        if "loss" in logs:
            metrics = {name: float(logs[name]) for name in KEPT if name in logs}
            metrics |= self.trace.drain()
            metrics["elapsed_seconds"] = self.job.window.so_far()
            self.trace.rows.append({"step": step, "metrics": metrics})
            self.job.report(step, self.state.max_steps, metrics)
        elif "eval_loss" in logs:
            metrics = {"eval_loss": float(logs["eval_loss"])}
            self.trace.rows.append({"step": step, "metrics": metrics})
        super().log(logs, start_time)

    def evaluate(self, *args: Any, **kwargs: Any) -> Any:
        """In-training evaluation, off the headline's clock."""
        with self.job.window.phase(EVALUATION):
            return super().evaluate(*args, **kwargs)

    def _save_checkpoint(self, *args: Any, **kwargs: Any) -> None:
        """Weights and optimizer during training, off the headline's clock."""
        with self.job.window.phase(CHECKPOINT):
            super()._save_checkpoint(*args, **kwargs)

    def _load_from_checkpoint(self, *args: Any, **kwargs: Any) -> None:
        """The weights that an interrupted run goes on from, off the headline's clock."""
        with self.job.window.phase(CHECKPOINT):
            super()._load_from_checkpoint(*args, **kwargs)

    def _load_optimizer_and_scheduler(self, *args: Any, **kwargs: Any) -> None:
        """The optimizer's state that an interrupted run goes on from, off the headline's clock."""
        with self.job.window.phase(CHECKPOINT):
            super()._load_optimizer_and_scheduler(*args, **kwargs)

    def _load_best_model(self) -> None:
        """The checkpoint that early stopping selects, off the headline's clock."""
        with self.job.window.phase(CHECKPOINT):
            super()._load_best_model()
