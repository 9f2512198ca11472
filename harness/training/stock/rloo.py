"""trl.RLOOTrainer on the training prompts, answered by transformers' own `generate`.

Which prompts come when, their tokens, and the clocks are ours: a step answers `batch_size` prompts, each
`num_generations` times, scores the answers by the policy, its reference and the reward, and updates once.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import datasets
import torch
import transformers
import trl
from scipy import stats

from harness.measure.flops import Bucket
from harness.measure.window import AUDIT, ROLLOUT, ROLLOUT_REFERENCE, ROLLOUT_REWARD
from harness.methods.rloo import Config
from harness.records import (
    HeadFacts,
    HeadKind,
    ReferenceFacts,
    ReferenceHolder,
    ReferenceMode,
    RewardFacts,
)
from harness.training.arguments import arguments
from harness.training.collate import Rows
from harness.training.fingerprint import fingerprint_weights
from harness.training.job import TrainJob
from harness.training.load import Policy, load_base
from harness.training.reward import grader
from harness.training.shape import Shape
from harness.training.stock.counts_answers import CountsAnswers
from harness.training.stock.groups import Groups
from harness.training.stock.observed import StockTrainer, fused_head_cost
from harness.training.stock.texts import prompt_texts

TRAIN = "train"


class StockRLOO(CountsAnswers, StockTrainer, trl.RLOOTrainer):
    """TRL's loop: answers, their rewards less the others' mean, one update."""

    nll_scope = None
    names: ClassVar = {
        "reward": "reward",
        "reward_std": "reward_deviation",
        "kl": "kl",
        "entropy": "entropy",
        "completions/mean_length": "completion_length",
        "completions/clipped_ratio": "completion_cut_off",
    }
    _reference_weights: str | None = None
    _reward_weights: str | None = None

    @property
    def reward_model(self) -> Any:
        """The learned reward."""
        return self.reward_funcs[0]

    def _get_train_sampler(self, train_dataset: Any = None) -> Groups:
        order = super()._get_train_sampler(train_dataset)
        config = self.job.config
        assert isinstance(config, Config)
        passes = self.args.steps_per_generation
        return Groups(order, prompts=config.batch_size, answers=config.num_generations, passes=passes)

    def get_batch_samples(self, *args: Any, **kwargs: Any) -> Any:
        """Shapes are known once the prompts are answered, and noted then."""
        return transformers.Trainer.get_batch_samples(self, *args, **kwargs)

    def _prepare_inputs(self, generation_batch: Any) -> Any:
        before = self._buffered_inputs
        inputs = super()._prepare_inputs(generation_batch)
        if self._buffered_inputs is not before:
            self.totals = self.trace.note([self.shape_of(batch) for batch in self._buffered_inputs])
        return inputs

    def _generate_and_score_completions(self, inputs: list[dict[str, Any]]) -> Any:
        self._rows = inputs
        return super()._generate_and_score_completions(inputs)

    def _tokenize_prompts(self, prompts: list[Any]) -> tuple[list[list[int]], None, dict[str, Any]]:
        """The tokens that every arm has of these prompts."""
        return [list(row["prompt_ids"]) for row in self._rows], None, {}

    def _generate(self, prompts: list[Any]) -> Any:
        with self.job.window.phase(ROLLOUT):
            made = super()._generate(prompts)
        prompt_ids, answers, _ = made
        self._note("rollout_sequences", len(answers))
        self._note("rollout_prompt_length", max(map(len, prompt_ids)))
        self._note("rollout_length", max(map(len, answers)))
        return made

    def _get_per_token_logps_and_entropies(self, model: Any, *args: Any, **kwargs: Any) -> Any:
        if model is not self.ref_model or self.job.window.current != TRAIN:
            return super()._get_per_token_logps_and_entropies(model, *args, **kwargs)
        with self.job.window.phase(ROLLOUT_REFERENCE):
            return super()._get_per_token_logps_and_entropies(model, *args, **kwargs)

    def _calculate_rewards(self, inputs: Any, prompts: Any, completions: Any, completion_ids: Any) -> Any:
        with self.job.window.phase(ROLLOUT_REWARD):
            rewards = super()._calculate_rewards(inputs, prompts, completions, completion_ids)
        with self.job.window.phase(AUDIT):
            self._grade(prompts, completions, rewards[:, 0].tolist())
        return rewards

    def _grade(self, prompts: Any, completions: Any, rewards: list[float]) -> None:
        """What the world's own judge says of the same answers, where it has one: it teaches nothing."""
        grade = grader(self.job.facts.source)
        if grade is None:
            return
        asked, said = ([turns[-1]["content"] for turns in part] for part in (prompts, completions))
        grades = [grade(prompt, answer) for prompt, answer in zip(asked, said, strict=True)]
        self._note("judge_grade", sum(grades) / len(grades))
        if len(set(grades)) > 1 and len(set(rewards)) > 1:
            self._note("reward_grade_correlation", float(stats.spearmanr(rewards, grades).statistic))

    def _note(self, name: str, value: float) -> None:
        self.trace.add(name, torch.tensor([float(value)]))

    def watch_reward(self) -> None:
        """Count the reward's sequences, and keep how long they were."""
        self.watch(self.reward_model)
        self.reward_model.register_forward_pre_hook(self._on_reward, with_kwargs=True)

    def _on_reward(self, module: Any, args: Any, kwargs: Any) -> None:
        if self.job.window.current == ROLLOUT_REWARD:
            self._note("rollout_reward_length", kwargs["input_ids"].shape[1])

    def shape_of(self, batch: Any) -> Shape:
        size = len(batch["completion_ids"])
        length = batch["prompt_ids"].shape[1] + batch["completion_ids"].shape[1]
        scored = int(batch["completion_mask"].sum())
        return Shape(
            Bucket(size, length, scored),
            size // self.num_generations,
            int(batch["prompt_mask"].sum()) + scored,
            0,
        )

    def micro_batch_pairs(self) -> int:
        return int(self.args.per_device_train_batch_size) // int(self.num_generations)

    def head_facts(self) -> HeadFacts:
        return HeadFacts(kind=HeadKind.FUSED)

    def prepare_reference(self) -> None:
        """Take the fingerprints of what is read, before the first step."""
        with self.job.window.phase(AUDIT):
            if self.ref_model is not None:
                self._reference_weights = fingerprint_weights(self.ref_model)
            self._reward_weights = fingerprint_weights(self.reward_model)

    def scores_reference_in_loop(self) -> bool:
        return self.ref_model is not None

    def reference_facts(self) -> ReferenceFacts | None:
        if self.ref_model is None:
            return None
        mode, holder = ReferenceMode.IN_LOOP, ReferenceHolder.COPY
        return ReferenceFacts(mode=mode, holder=holder, weights=self._reference_weights)

    def reward_facts(self, held_out: Path) -> RewardFacts:
        return RewardFacts(weights=self._reward_weights)

    def models(self) -> list[Any]:
        held = [self.model, self.ref_model, self.reward_model]
        return [model for model in held if model is not None]


def build(job: TrainJob, policy: Policy, tokenizer: Any, data: Rows, validation: Rows | None) -> StockRLOO:
    """TRL's trainer over the prompts of `data`. A rehearsal has no reward yet: one of the base model's size,
    which has learned nothing, costs as much."""
    config = job.config
    assert isinstance(config, Config)
    # How answers are made is said here alone, not by what the model brings along.
    policy.model.generation_config = transformers.GenerationConfig(eos_token_id=job.facts.stop_token_ids)
    source, revision = (job.reward_model, None) if job.reward_model else (job.model, job.revision)
    reward = load_base(source, revision, config, own_code=job.own_code, rewards=True)
    trainer = StockRLOO(
        job,
        model=policy.model,
        reward_funcs=[reward],
        reward_processing_classes=[tokenizer],
        args=_settings(job, config),
        train_dataset=datasets.Dataset.from_list(
            [
                {"prompt": prompt, "prompt_ids": [*map(int, row["prompt_ids"])]}
                for prompt, row in zip(prompt_texts(job), data, strict=True)
            ]
        ),
        processing_class=tokenizer,
    )
    if trainer.ref_model is not None:
        trainer.watch(trainer.ref_model)
    trainer.watch_reward()
    trainer.head_cost = fused_head_cost()
    return trainer


def _settings(job: TrainJob, config: Config) -> Any:
    """A batch of TRL's holds answers, one of ours prompts."""
    return arguments(
        trl.RLOOConfig,
        job,
        num_generations=config.num_generations,
        max_completion_length=config.max_completion_length,
        temperature=config.temperature,
        beta=config.beta,
        use_vllm=False,
        disable_dropout=False,
        model_init_kwargs=_reference_from(job),
        generation_batch_size=config.batch_size * config.num_generations,
        per_device_train_batch_size=config.micro_batch_size * config.num_generations,
    )


def _reference_from(job: TrainJob) -> dict[str, Any] | None:
    """TRL loads the reference from where the policy came; None where nothing has to be said of it."""
    revision = {"revision": job.revision} if job.revision is not None else {}
    return {**revision, **({"trust_remote_code": True} if job.own_code else {})} or None
