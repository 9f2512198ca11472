"""What SFT, DPO and ORPO have in common: data order, loss scaling, names of metrics, the probe.

Losses are divided by the totals of the whole effective batch, so that micro-batches of any size
give the same gradient.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from transformers import TrainerCallback

from harness.measure.flops import Bucket
from harness.methods import TrainJob

PROBES = 6


class EpochOrder(torch.utils.data.Sampler[int]):
    """The order of pairs in each epoch: a function of seed and epoch alone, equal in all arms."""

    def __init__(self, size: int, seed: int) -> None:
        self._size, self._seed, self._epoch = size, seed, 0

    def __len__(self) -> int:
        return self._size

    def __iter__(self) -> Iterator[int]:
        order = epoch_order(self._size, self._seed, self._epoch)
        self._epoch += 1
        return iter(order)


def epoch_order(size: int, seed: int, epoch: int) -> list[int]:
    """A permutation of `range(size)`."""
    return [int(i) for i in np.random.default_rng([seed, epoch]).permutation(size)]


@dataclass
class Totals:
    """The effective batch that is being worked on."""

    pairs: int = 0
    scored: int = 0


@dataclass
class Trace:
    """What a run leaves behind: rows of metrics, shapes of its batches, token counts."""

    rows: list[dict[str, Any]] = field(default_factory=list)
    shapes: list[tuple[int, int, Any]] = field(default_factory=list)
    sums: dict[str, list[Any]] = field(default_factory=dict)
    tokens_real: list[Any] = field(default_factory=list)
    tokens_padded: int = 0
    step_tokens: list[Any] = field(default_factory=list)

    def add(self, name: str, values: torch.Tensor) -> None:
        """Values of one micro-batch, one per pair, kept on the device until they are logged."""
        self.sums.setdefault(name, []).append(values.detach())

    def drain(self) -> dict[str, float]:
        """The means over the effective batch since the last call."""
        means = {name: float(torch.cat(v).float().mean()) for name, v in self.sums.items()}
        self.sums.clear()
        return means

    def buckets(self) -> Counter[Bucket]:
        """How often each (batch, length, scored) ran."""
        return Counter(Bucket(b, t, int(s)) for b, t, s in self.shapes)


def log1mexp(x: torch.Tensor) -> torch.Tensor:
    """log(1 - exp(x)) for x <= 0 in float32, finite at 0 (Maechler 2012, eq. 7)."""
    x = x.float().clamp(max=-1e-6)
    near = x > -0.6931472
    safe_near = torch.where(near, x, torch.full_like(x, -0.5))
    safe_far = torch.where(near, torch.full_like(x, -1.0), x)
    return torch.where(near, torch.log(-torch.expm1(safe_near)), torch.log1p(-torch.exp(safe_far)))


def log_odds(mean_chosen: torch.Tensor, mean_rejected: torch.Tensor) -> torch.Tensor:
    """log of the odds ratio, from mean log-probs per token (Hong et al. 2024, eq. 4 and 7)."""
    difference = mean_chosen.float() - mean_rejected.float()
    return difference - (log1mexp(mean_chosen) - log1mexp(mean_rejected))


def sequence_means(log_probs: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Mean log-prob per scored token: (batch, length) -> (batch,)."""
    mask = mask.to(log_probs.dtype)
    return (log_probs * mask).sum(dim=1) / mask.sum(dim=1).clamp(min=1)


class SharedTrainer:
    """Mixed into a TRL trainer before it; `job` is set on the class by `build`."""

    job: TrainJob
    loss_is_scaled_for_ga = True
    has_reference = False
    fused = True
    nll_scope: str | None = "response"
    reference_mode: str | None = None
    forwarded_per_pair = 2

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.trace = Trace()
        self.totals = Totals()
        self._captured: torch.Tensor | None = None
        super().__init__(*args, **kwargs)
        self.model.register_forward_hook(self._capture)  # type: ignore[attr-defined]

    def _prepare_dataset(self, dataset: Any, *args: Any, **kwargs: Any) -> Any:
        """The prepare stage has tokenised and truncated already."""
        return dataset

    def _get_train_sampler(self, train_dataset: Any = None) -> EpochOrder:
        return EpochOrder(len(train_dataset or self.train_dataset), self.job.seed)  # type: ignore[attr-defined]

    def get_batch_samples(self, *args: Any, **kwargs: Any) -> Any:
        """Note the shapes of the effective batch and what its losses are divided by."""
        batches, items = super().get_batch_samples(*args, **kwargs)  # type: ignore[misc]
        self.totals = Totals(
            pairs=sum(self._pairs_in(b) for b in batches),
            scored=int(sum(int(self._scored_mask(b)[: self._pairs_in(b)].sum()) for b in batches)),
        )
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


class Probe(TrainerCallback):
    """Log-probs of a few held-out pairs at the start, during and at the end of every stage.

    The same in every arm, and on nobody's clock.
    """

    def __init__(self, trainer: Any, pairs: Any, batch_size: int) -> None:
        self._trainer, self._pairs, self._batch_size = trainer, pairs, batch_size

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self._measure(state.global_step)

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        every = max(1, round(state.max_steps / PROBES))
        if state.global_step % every == 0 or state.global_step == state.max_steps:
            self._measure(state.global_step)

    def _measure(self, step: int) -> None:
        from harness.generate.logprobs import pair_log_probs

        trainer = self._trainer
        with trainer.job.window.phase("evaluation"):
            found = pair_log_probs(
                trainer.model, self._pairs, trainer.processing_class.pad_token_id, self._batch_size
            )
            chosen, rejected = (torch.tensor(m) for m in (found.chosen_mean, found.rejected_mean))
            odds = log_odds(chosen, rejected)
        metrics = {
            "probe_logp_chosen": float(chosen.mean()),
            "probe_logp_rejected": float(rejected.mean()),
            "probe_margin": float((chosen - rejected).mean()),
            "probe_log_odds_margin": float(odds.mean()),
            "probe_preference_accuracy": float((chosen > rejected).float().mean()),
        }
        trainer.trace.rows.append({"step": step, "metrics": metrics})
