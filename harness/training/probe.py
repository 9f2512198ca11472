"""How the held-out pairs fare during training, on nobody's clock."""

from __future__ import annotations

from typing import Any

import torch
from transformers import TrainerCallback

from harness.generate.head import checked_head
from harness.generate.logprobs import pair_log_probs, sample_of
from harness.methods import log_odds
from harness.training.collate import Rows
from harness.training.job import StageTrainer

PROBES = 6


class Probe(TrainerCallback):
    """Log-probs of a few held-out pairs at the start, during and at the end of every stage.

    The same in every arm, and on nobody's clock.
    """

    def __init__(self, trainer: StageTrainer, pairs: Rows, batch_size: int) -> None:
        self._trainer, self._pairs, self._batch_size = trainer, pairs, batch_size
        first = [(pairs[0]["prompt_ids"], pairs[0]["chosen_ids"])]
        self._head = checked_head(trainer.model, sample_of(first))

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self._measure(state.global_step)

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        every = max(1, round(state.max_steps / PROBES))
        if state.global_step % every == 0 or state.global_step == state.max_steps:
            self._measure(state.global_step)

    def _measure(self, step: int) -> None:
        trainer = self._trainer
        with trainer.job.window.phase("evaluation"):
            log_probs = pair_log_probs(
                trainer.model,
                self._pairs,
                trainer.processing_class.pad_token_id,
                self._batch_size,
                head=self._head,
            )
            chosen, rejected = (torch.tensor(m) for m in (log_probs.chosen_mean, log_probs.rejected_mean))
            odds = log_odds(chosen, rejected)
        metrics = {
            "probe_logp_chosen": float(chosen.mean()),
            "probe_logp_rejected": float(rejected.mean()),
            "probe_margin": float((chosen - rejected).mean()),
            "probe_log_odds_margin": float(odds.mean()),
            "probe_preference_accuracy": float((chosen > rejected).float().mean()),
            "probe_pairs": float(len(chosen)),
            "elapsed_seconds": trainer.job.window.so_far(),
        }
        joules = trainer.job.window.joules_so_far()
        if joules is not None:
            metrics["elapsed_joules"] = joules
        trainer.trace.rows.append({"step": step, "metrics": metrics})
