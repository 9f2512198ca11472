"""How the held-out pairs fare during training, on nobody's clock."""

from __future__ import annotations

from typing import Any

import torch
from transformers import TrainerCallback

from harness.generate.head import checked_head
from harness.generate.logprobs import pair_log_probs, sample_of
from harness.methods import log_odds
from harness.records import ProbeFacts
from harness.training.collate import Rows
from harness.training.job import StageTrainer
from harness.training.probe_plan import due_steps


class Probe(TrainerCallback):
    """Log-probs of a few held-out pairs at the start, during and at the end of a stage.

    The same in every arm, and on nobody's clock. `planned` says how many and how often.
    """

    def __init__(self, trainer: StageTrainer, held_out: Rows, planned: ProbeFacts, batch_size: int) -> None:
        self._trainer, self._batch_size = trainer, batch_size
        self._pairs, self._probes = held_out.first(planned.pairs), planned.probes
        self._due: frozenset[int] = frozenset()
        self._last: int | None = None
        sample = sample_of([(self._pairs[0]["prompt_ids"], self._pairs[0]["chosen_ids"])])
        with trainer.job.window.phase("evaluation"):
            self._head = checked_head(trainer.model, sample)

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self._due = due_steps(self._probes, state.max_steps)
        # A run that goes on from a checkpoint has been probed at its step.
        if state.global_step == 0:
            self._measure(0)

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if state.global_step in self._due:
            self._measure(state.global_step)

    def on_train_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """The end is probed also where training stops early."""
        if self._last != state.global_step:
            self._measure(state.global_step)

    def _measure(self, step: int) -> None:
        trainer, self._last = self._trainer, step
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
