"""What a trainer computes that answers prompts itself: its micro-batches, its answers, their rewards."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import torch
import transformers

from harness.measure.flops import Bucket, FlopModel
from harness.measure.window import ROLLOUT, ROLLOUT_REWARD
from harness.pipeline.training_spec import TrainConfig
from harness.records import BatchFacts
from harness.training.generated import AnswerFlops, Answers, answered, by_step
from harness.training.job import Apart
from harness.training.shape import Walk
from harness.training.walk import planned_steps

LENGTHS = ("rollout_sequences", "rollout_prompt_length", "rollout_length", "rollout_reward_length")
"""What a step's answers were, in the series: their number, and the lengths that decide what they cost."""


class CountsAnswers:
    """Put before an online trainer of TRL's that notes `LENGTHS` in its series, step by step."""

    no_formula: str | None = "no formula: what a policy's own answers cost is counted alone"
    _answer_flops: AnswerFlops | None = None
    accelerator: Any
    generation_kwargs: dict[str, Any]
    model: Any
    ref_model: Any
    reward_model: Any
    trace: Any
    train_dataset: Any
    vocabulary: int
    compute_loss: Any
    _get_per_token_logps_and_entropies: Any
    _metrics: Any

    def synthetic_batch(self, bucket: Bucket) -> dict[str, torch.Tensor]:
        """As many answers' tokens as are scored, in the fewest columns."""
        size, new = bucket.batch, -(-bucket.scored // bucket.batch)
        ids = torch.randint(
            3, self.vocabulary, (size, bucket.length), generator=torch.Generator().manual_seed(0)
        )
        mask = (torch.arange(size * new) < bucket.scored).long().view(new, size).T
        batch = {
            "prompt_ids": ids[:, :-new],
            "completion_ids": ids[:, -new:],
            "completion_mask": mask,
            "old_logps": torch.zeros(size),
            "advantages": torch.ones(size),
        }
        batch["prompt_mask"] = torch.ones_like(batch["prompt_ids"])
        place = self.accelerator.device
        return {name: value.to(place) for name, value in batch.items()}

    def step_once(self, bucket: Bucket) -> None:
        """All that a micro-batch's answers go through once they are made, but for their rewards."""
        batch = self.synthetic_batch(bucket)
        self._score(self.model, batch)
        if self.ref_model is not None:
            self._score(self.ref_model, batch)
        try:
            self.accelerator.backward(self.compute_loss(self.model, batch))
        finally:
            self.model.zero_grad()
            self._metrics["train"].clear()

    def reference_once(self, bucket: Bucket) -> None:
        self._score(self.ref_model, self.synthetic_batch(bucket))

    def _score(self, model: Any, batch: dict[str, torch.Tensor]) -> None:
        """Log-probs without a gradient, as TRL takes them before it updates."""
        ids, mask = (
            torch.cat([batch[f"prompt_{kind}"], batch[f"completion_{kind}"]], dim=1)
            for kind in ("ids", "mask")
        )
        with torch.no_grad():
            self._get_per_token_logps_and_entropies(model, ids, mask, batch["completion_ids"].shape[1])

    def apart(self, steps: Sequence[int]) -> Apart:
        """Answers, and their rewards, of each step; steps beyond those that ran are like them in turn."""
        metrics = [row["metrics"] for row in self.trace.rows if LENGTHS[0] in row["metrics"]]
        made = [[int(one[name]) for name in LENGTHS] for one in metrics]
        if not made:
            return {}
        answers = [Answers(*one[:3]) for one in made]
        if self._answer_flops is None:
            settings = transformers.GenerationConfig(**{**self.generation_kwargs, "disable_compile": True})
            self._answer_flops = AnswerFlops(lambda a: answered(self.model, a, settings), answers)
        scored = [Bucket(one[0], one[3], one[0]) for one in made]
        rewards = FlopModel(Counter(scored), self._reward_once)
        return {
            ROLLOUT: by_step(steps, [self._answer_flops.of(a) for a in answers]),
            ROLLOUT_REWARD: by_step(steps, [rewards.of(bucket) for bucket in scored]),
        }

    def _reward_once(self, bucket: Bucket) -> None:
        ids = torch.ones((bucket.batch, bucket.length), dtype=torch.long, device=self.accelerator.device)
        with torch.no_grad():
            self.reward_model(input_ids=ids, attention_mask=torch.ones_like(ids))

    def course(self, config: TrainConfig, stop_token_ids: list[int]) -> Walk:
        """The run's steps, whose answers are taken to be as long as those that were made here, in turn."""
        prompts = len(self.train_dataset)
        per_epoch = max(1, prompts // config.batch_size)
        steps = planned_steps(config, per_epoch)
        shapes, size = self.trace.shapes, config.batch_size // config.micro_batch_size
        shapes = [shapes[i % len(shapes)] for i in range(steps * size)]
        return Walk(
            buckets=[shape.bucket for shape in shapes],
            steps=[size] * steps,
            pairs=sum(shape.pairs for shape in shapes),
            tokens_real=sum(shape.tokens_real for shape in shapes),
            facts=BatchFacts(pairs=min(prompts, per_epoch * config.batch_size)),
        )
