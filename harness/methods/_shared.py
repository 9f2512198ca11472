"""What SFT, DPO and ORPO have in common: data order, loss scaling, names of metrics, the probe.

Losses are divided by the totals of the whole effective batch, so that micro-batches of any size
give the same gradient.
"""

from __future__ import annotations

import itertools
from typing import Any

import torch

from harness.measure.flops import Bucket
from harness.methods import TrainJob
from harness.methods._odds import log_odds, sequence_means
from harness.methods._order import EpochOrder, FixedOrder
from harness.methods._trace import Totals, Trace


class SharedTrainer:
    """Mixed into a TRL trainer before it; `job` is set on the class by `build`."""

    job: TrainJob
    loss_is_scaled_for_ga = True
    has_reference = False
    fused = True
    nll_scope: str | None = "response"
    reference_mode: str | None = None
    reference_weights: str | None = None
    implementation = "matched"

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.trace = Trace()
        self.totals = Totals()
        self._captured: torch.Tensor | None = None
        self._watched = False
        self._whole_epochs = False
        super().__init__(*args, **kwargs)
        self.watch()

    def watch(self) -> None:
        """Hook the policy and a reference model of its own, once."""
        if self._watched:
            return
        self._watched = True
        self.model.register_forward_hook(self._capture)  # type: ignore[attr-defined]
        reference = getattr(self, "ref_model", None)
        if reference is not None:
            reference.register_forward_hook(self._count_sequences)

    def _prepare_dataset(self, dataset: Any, *args: Any, **kwargs: Any) -> Any:
        """The prepare stage has tokenised and truncated already."""
        return dataset

    def _get_train_sampler(self, train_dataset: Any = None) -> EpochOrder | FixedOrder:
        if self.job.rows is not None and not self._whole_epochs:
            return FixedOrder(self.job.rows)
        return EpochOrder(len(train_dataset or self.train_dataset), self.job.seed)  # type: ignore[attr-defined]

    def loader_of_whole_epochs(self) -> Any:
        """The trainer's own loader over all of its data, whatever rows the job names."""
        self._whole_epochs = True
        try:
            return self.get_train_dataloader()  # type: ignore[attr-defined]
        finally:
            self._whole_epochs = False

    def sides(self, batch: dict[str, Any]) -> list[tuple[torch.Tensor, torch.Tensor, torch.Tensor]]:
        """Chosen and, where there are any, rejected: token ids, attention, what the loss scores."""
        scored = batch["completion_mask"] == 1
        parts = (batch["input_ids"], batch["attention_mask"] == 1, scored)
        halves = [part.chunk(2) for part in parts]
        return [(halves[0][i], halves[1][i], halves[2][i]) for i in (0, 1)]

    def bucket_of(self, batch: dict[str, Any]) -> Bucket:
        """The shape that decides a micro-batch's FLOPs."""
        size, length = batch["input_ids"].shape
        return Bucket(int(size), int(length), int(self._scored_mask(batch).sum()))

    def get_batch_samples(self, *args: Any, **kwargs: Any) -> Any:
        """Note the shapes of the effective batch and what its losses are divided by."""
        batches, items = super().get_batch_samples(*args, **kwargs)  # type: ignore[misc]
        self.totals = Totals(
            pairs=sum(self._pairs_in(b) for b in batches),
            scored=int(sum(int(self._scored_mask(b)[: self._pairs_in(b)].sum()) for b in batches)),
        )
        self.trace.micro_batches.append(len(batches))
        for batch in batches:
            size, length = batch["input_ids"].shape
            self.trace.shapes.append((size, length, self._scored_mask(batch).sum()))
            self.trace.tokens_real.append(batch["attention_mask"].sum())
            self.trace.tokens_padded += size * length
        return batches, items

    def _pairs_in(self, batch: dict[str, Any]) -> int:
        return self.pairs_of_shape(int(batch["input_ids"].shape[0]))

    def pairs_of_shape(self, batch: int) -> int:
        """Pairs in a forward of `batch` sequences."""
        return batch // 2

    def _scored_mask(self, batch: dict[str, Any]) -> torch.Tensor:
        """Positions whose token is predicted and scored: (batch, length - 1)."""
        mask: torch.Tensor = batch["completion_mask"][:, 1:]
        return mask

    def _capture(self, module: Any, args: Any, output: Any) -> None:
        """Keep the policy's log-probs of TRL's own forward, so that metrics cost no second one."""
        if self._captured is None and getattr(output, "log_probs", None) is not None:
            self._captured = output.log_probs
        self._count_sequences(module, args, output)

    def _count_sequences(self, module: Any, args: Any, output: Any) -> None:
        """Note what went forward in which phase, and what a gradient comes back to."""
        phase = self.job.window.current
        if phase not in ("train", "reference"):
            return
        made = getattr(output, "log_probs", None)
        made = output.logits if made is None else made
        size = int(made.shape[0])
        self.trace.forwarded[phase] += size
        if made.requires_grad:
            made.register_hook(lambda gradient: self._count_backward(size))

    def _count_backward(self, size: int) -> None:
        self.trace.with_gradient += size

    def _log_pairs(self, inputs: dict[str, Any]) -> None:
        """Metrics of a [chosen, rejected] batch from the captured log-probs."""
        assert self._captured is not None
        mask = self._scored_mask(inputs)
        log_probs = self._captured.detach()[:, -mask.size(1) :]
        pairs = self._pairs_in(inputs)
        self.log_means(*sequence_means(log_probs, mask).chunk(2))
        self.log_nll(-(log_probs * mask)[:pairs].sum() / max(self.totals.scored, 1), pairs)

    def log_nll(self, share: torch.Tensor, pairs: int) -> None:
        """The micro-batch's share of the effective batch's NLL, so that the pairs' mean is it."""
        self.trace.add("nll", (share.detach() * self.totals.pairs / pairs).expand(pairs))

    def log_means(self, chosen: torch.Tensor, rejected: torch.Tensor) -> None:
        """The metrics that every preference method shares, one value per pair."""
        odds = log_odds(chosen, rejected)
        for name, values in {
            "logp_chosen": chosen,
            "logp_rejected": rejected,
            "margin": chosen - rejected,
            "preference_accuracy": (chosen > rejected).float() + 0.5 * (chosen == rejected).float(),
            "log_odds_margin": odds,
            "log_odds_ratio": torch.nn.functional.logsigmoid(odds),
        }.items():
            self.trace.add(name, values)

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Keep one row per optimizer step under our own names; TRL's metrics are dropped."""
        self._metrics["train"].clear()  # type: ignore[attr-defined]
        self._metrics["eval"].clear()  # type: ignore[attr-defined]
        state = self.state  # type: ignore[attr-defined]
        if "loss" in logs:
            known = ("loss", "grad_norm", "learning_rate")
            row = {k: float(logs[k]) for k in known if k in logs} | self.trace.drain()
            row["elapsed_seconds"] = self.job.window.so_far()
            self.trace.rows.append({"step": state.global_step, "metrics": row})
            self.job.report(state.global_step, state.max_steps, row)
        elif "eval_loss" in logs:
            row = {"eval_loss": float(logs["eval_loss"])}
            self.trace.rows.append({"step": state.global_step, "metrics": row})
        super().log(logs, start_time)  # type: ignore[misc]

    def evaluate(self, *args: Any, **kwargs: Any) -> Any:
        """In-training evaluation, off the headline's clock."""
        with self.job.window.phase("evaluation"):
            return super().evaluate(*args, **kwargs)  # type: ignore[misc]

    def synthetic(self, bucket: Bucket) -> dict[str, torch.Tensor]:
        """A batch of random tokens with the bucket's shape and number of scored positions."""
        device = self.accelerator.device  # type: ignore[attr-defined]
        generator = torch.Generator().manual_seed(0)
        shape = (bucket.batch, bucket.length)
        ids = torch.randint(0, self.vocabulary, shape, generator=generator)
        mask = torch.zeros(shape, dtype=torch.long)
        scored = min(bucket.scored, bucket.batch * (bucket.length - 1))
        places = list(itertools.product(range(bucket.length - 1, 0, -1), range(bucket.batch)))
        for column, row in places[:scored]:
            mask[row, column] = 1
        batch = {"input_ids": ids, "attention_mask": torch.ones_like(ids), "completion_mask": mask}
        return {name: tensor.to(device) for name, tensor in batch.items()}

    @property
    def vocabulary(self) -> int:
        """Number of token ids the model knows."""
        return int(self.model.get_output_embeddings().weight.shape[0])  # type: ignore[attr-defined]

    def step_once(self, bucket: Bucket) -> None:
        """Forward and backward of one micro-batch, for counting."""
        self.totals = Totals(bucket.batch // 2 or 1, max(bucket.scored, 1))
        inputs = self.synthetic(bucket)
        loss = self.compute_loss(self.model, inputs, num_items_in_batch=max(bucket.scored, 1))  # type: ignore[attr-defined]
        self.accelerator.backward(loss)  # type: ignore[attr-defined]
        self.model.zero_grad()  # type: ignore[attr-defined]
        self.trace.sums.clear()

    def reference_once(self, bucket: Bucket) -> None:
        """The reference's part of one micro-batch; methods without one have none."""
        raise NotImplementedError
