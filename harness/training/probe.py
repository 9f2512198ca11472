"""How the held-out pairs fare during training, on nobody's clock."""

from __future__ import annotations

from collections.abc import Callable
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
        self.trainer, self.batch_size = trainer, batch_size
        self.pairs, self._probes = held_out.first(planned.pairs), planned.probes
        self._due: frozenset[int] = frozenset()
        self._last: int | None = None
        with trainer.job.window.phase("evaluation"):
            self.check_head()

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

    def check_head(self) -> None:
        """Which head gives the model's log-probs."""
        sample = sample_of([(self.pairs[0]["prompt_ids"], self.pairs[0]["chosen_ids"])])
        self._head = checked_head(self.trainer.model, sample)

    def measure(self) -> dict[str, float]:
        """Log-probs of the pairs as they are now."""
        log_probs = pair_log_probs(
            self.trainer.model,
            self.pairs,
            self.trainer.processing_class.pad_token_id,
            self.batch_size,
            head=self._head,
            through=_forward(self.trainer.model) if self.trainer.shards else None,
        )
        chosen, rejected = (torch.tensor(m) for m in (log_probs.chosen_mean, log_probs.rejected_mean))
        return {
            "probe_logp_chosen": float(chosen.mean()),
            "probe_logp_rejected": float(rejected.mean()),
            "probe_margin": float((chosen - rejected).mean()),
            "probe_log_odds_margin": float(log_odds(chosen, rejected).mean()),
            "probe_preference_accuracy": float((chosen > rejected).float().mean()),
            "probe_pairs": float(len(chosen)),
        }

    def _measure(self, step: int) -> None:
        trainer, self._last = self.trainer, step
        ranks = trainer.job.ranks
        with trainer.job.window.phase("evaluation"):
            # All ranks hold the same weights, or all have to help with a forward pass.
            measured = self.measure() if ranks.first or trainer.shards else {}
        metrics = {**measured, "elapsed_seconds": trainer.job.window.so_far()}
        joules = ranks.told(trainer.job.window.joules_so_far())
        if None not in joules:
            metrics["elapsed_joules"] = sum(one for one in joules if one is not None)
        trainer.trace.rows.append({"step": step, "metrics": metrics})


def _forward(model: Any) -> Callable[[torch.Tensor, torch.Tensor], torch.Tensor]:
    """Log-probs by the whole model, which gathers the weights that the head reads."""

    def log_probs(ids: torch.Tensor, positions: torch.Tensor) -> torch.Tensor:
        found: torch.Tensor = model(input_ids=ids, positions=positions)
        return found

    return log_probs
