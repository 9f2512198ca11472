"""The reward model and RLOO, through TRL as they are: what they compute, record and cost."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
import transformers
from torch.nn.functional import logsigmoid

from harness.measure.counting import count
from harness.measure.window import ROLLOUT, ROLLOUT_REFERENCE, ROLLOUT_REWARD
from harness.stages.train import warm_up
from harness.training.build import build
from harness.training.collate import read_rows
from harness.training.fingerprint import fingerprint_weights
from harness.training.generated import AnswerFlops, Answers, answered, by_step
from harness.training.job import TrainJob, TrainOutcome
from harness.training.load import load_policy, load_tokenizer
from harness.training.order import EpochOrder
from harness.training.rehearse import rehearse
from harness.training.reward import rewards_of, rewards_of_pairs, worth
from harness.training.run import train
from harness.training.stock.groups import Groups
from harness.training.stock.rloo import _reference_from

ANSWERS = {"num_generations": 2, "max_completion_length": 6, "beta": 0.1}


def trainer_of(job: TrainJob) -> Any:
    transformers.set_seed(job.seed)
    rows = read_rows(job.prepared / "train.parquet")
    return build(job, load_policy(job), load_tokenizer(job.prepared), rows, None)


def rows_of(job: TrainJob) -> list[dict[str, float]]:
    lines = (job.out / "steps.jsonl").read_text().splitlines()
    return [json.loads(line)["metrics"] for line in lines]


def figures(outcome: TrainOutcome) -> dict[str, Any]:
    return {m.quantity: m.value if m.value is not None else m.reason for m in outcome.ledger}


def test_the_reward_loss_is_its_closed_form_on_the_prepared_tokens(make_job: Any) -> None:
    trainer = trainer_of(make_job("reward_model"))
    rows = list(read_rows(trainer.job.prepared / "train.parquet"))
    batch = next(iter(trainer.whole_epochs()))
    loss = trainer.compute_loss(trainer.model, dict(batch))
    sides = trainer.sides(batch)
    ids = [[side.ids[row][side.real[row]].tolist() for row in range(len(side.ids))] for side in sides]
    known = {(*row["prompt_ids"], *row["chosen_ids"]): row for row in rows}
    pairs = [known[tuple(sequence)] for sequence in ids[0]]
    assert ids[1] == [[*row["prompt_ids"], *row["rejected_ids"]] for row in pairs]
    chosen, rejected = rewards_of_pairs(trainer.model, pairs, 0, 3)
    assert float(loss) == pytest.approx(float(-logsigmoid(chosen - rejected).mean()), abs=1e-6)
    assert rewards_of(trainer.model, ids[0], 0, 1) == pytest.approx(chosen.tolist(), abs=1e-5)


def test_a_reward_model_is_saved_with_one_output_and_hands_on_what_it_started_from(
    make_job: Any, probed: None
) -> None:
    job = make_job("reward_model", epochs=2)
    outcome = train(job)
    policy = transformers.AutoModelForCausalLM.from_pretrained(job.model)
    assert outcome.facts.weights_at_start == fingerprint_weights(policy)
    kept = transformers.AutoModelForSequenceClassification.from_pretrained(job.out / "model")
    assert kept.config.num_labels == 1
    assert outcome.facts.weights_at_end == fingerprint_weights(kept)
    reward = outcome.facts.reward
    assert reward is not None
    assert (reward.pairs, reward.graded_pairs) == (6, None)
    probes = [row for row in rows_of(job) if "probe_pairs" in row]
    assert len(probes) == 3
    assert probes[-1]["probe_reward_accuracy"] == reward.ordered
    assert not any("probe_preference_accuracy" in row for row in probes), "which is a policy's"
    assert outcome.facts.batches.chosen_scored is None
    found = figures(outcome)
    assert found["flops"] > 0
    assert "no formula" in found["flops_theory"]


def test_a_reward_is_held_against_labels_and_a_judge(make_job: Any) -> None:
    trainer = trainer_of(make_job("reward_model"))
    held_out = trainer.job.prepared / "test.parquet"
    rows = list(read_rows(held_out))
    chosen, rejected = rewards_of_pairs(trainer.model, rows, 0, 4)
    ordered = float((chosen > rejected).float().mean())
    by_label = iter([1.0, 0.0] * len(rows))
    found = worth(trainer.model, held_out, rows, 0, 4, lambda prompt, answer: next(by_label))
    assert found.ordered == pytest.approx(ordered)
    assert (found.graded_pairs, found.ordered_as_graded) == (6, pytest.approx(ordered))
    against = iter([0.0, 1.0] * len(rows))
    opposite = worth(trainer.model, held_out, rows, 0, 4, lambda prompt, answer: next(against))
    assert opposite.ordered_as_graded == pytest.approx(1 - ordered)
    ties = worth(trainer.model, held_out, rows, 0, 4, lambda prompt, answer: 0.5)
    assert (ties.graded_pairs, ties.ordered_as_graded) == (None, None)


@pytest.mark.parametrize("wrapped", [True, False])
def test_trls_trainer_is_imported_before_any_clock_runs(
    monkeypatch: pytest.MonkeyPatch, wrapped: bool
) -> None:
    adapter = "harness.training.stock.reward_model"
    monkeypatch.delitem(sys.modules, adapter, raising=False)
    job = {"method": "reward_model", "config": {"implementation": "trl"}}
    request: Any = SimpleNamespace(config={"job": job} if wrapped else job)
    warm_up(request)
    assert adapter in sys.modules


@pytest.fixture
def reward_model(make_job: Any) -> tuple[str, str]:
    """A trained reward model's folder, and its fingerprint."""
    job = make_job("reward_model", name="reward")
    return str(job.out / "model"), train(job).facts.weights_at_end


def test_rloo_answers_the_shared_prompts_and_is_charged_for_it(
    make_job: Any, reward_model: tuple[str, str]
) -> None:
    job = replace(make_job("rloo", **ANSWERS), reward_model=reward_model[0])
    outcome = train(job)
    facts, found = outcome.facts, figures(outcome)
    assert facts.reward.weights == reward_model[1]
    assert facts.reference.weights == facts.weights_at_start
    assert facts.about.sequences_per_pair == 2
    assert (facts.effective_batch_pairs, facts.micro_batch_pairs, found["pairs"]) == (4, 2, 12)
    assert facts.batches.pairs == 12
    # Two answers a prompt: scored by policy, reference and reward, and once with a gradient.
    assert facts.sequences.forwarded_per_pair == 8
    assert facts.sequences.with_gradient_per_pair == 2
    steps = [row for row in rows_of(job) if "reward" in row]
    assert len(steps) == 3
    for name in ("kl", "completion_length", "entropy", "rollout_length"):
        assert all(name in row for row in steps), name
    assert all(row["completion_length"] <= 6 for row in steps)
    seconds = job.window.seconds
    assert all(seconds[phase] > 0 for phase in (ROLLOUT, ROLLOUT_REFERENCE, ROLLOUT_REWARD, "train"))
    assert job.window.headline() > seconds["train"] + seconds[ROLLOUT]
    assert found["rollout_flops"] > 0
    assert found["rollout_reward_flops"] > 0
    assert found["flops"] > found["rollout_flops"] + found["rollout_reward_flops"] + found["reference_flops"]
    assert rows_of(job)[-1]["elapsed_flops"] == found["flops"]
    assert facts.updates.moved_share > 0.5


def test_every_pass_of_a_step_is_counted(make_job: Any, reward_model: tuple[str, str]) -> None:
    """The sum of parts is what torch counts over a whole step, but for products that mask or cache change."""
    job = replace(make_job("rloo", max_steps=1, epochs=1, **ANSWERS), reward_model=reward_model[0])
    trainer = trainer_of(job)
    really = count(lambda: trainer.train()).total
    counted = train(replace(job, out=job.out.parent / "again"))
    assert figures(counted)["flops"] == pytest.approx(really, rel=0.01)


def test_a_rehearsal_of_rloo_takes_whole_steps_without_a_reward(make_job: Any) -> None:
    job = make_job("rloo", **ANSWERS)
    rehearsed = rehearse(job, 4)
    prediction = rehearsed.prediction
    assert prediction is not None
    assert rehearsed.steps is not None
    assert rehearsed.steps >= 2
    assert (prediction.steps, prediction.pairs) == (3, 12)
    assert prediction.flops > 0
    assert prediction.seconds_low <= prediction.seconds <= prediction.seconds_high
    assert rehearsed.stage.batches.pairs == 12


def test_without_a_kl_term_there_is_no_reference(make_job: Any, reward_model: tuple[str, str]) -> None:
    settings = {**ANSWERS, "beta": 0.0, "max_steps": 1}
    outcome = train(replace(make_job("rloo", **settings), reward_model=reward_model[0]))
    assert outcome.facts.reference is None
    assert not outcome.facts.about.reference
    assert outcome.facts.sequences.forwarded_per_pair == 6


@pytest.mark.slow
@pytest.mark.parametrize(
    "form", [{"precision": "mixed"}, {"precision": "bfloat16"}, {"gradient_checkpointing": True}]
)
def test_both_train_in_every_precision_and_with_checkpointing(make_job: Any, form: dict[str, Any]) -> None:
    reward = make_job("reward_model", name="reward", max_steps=1, **form)
    trained = train(reward).facts
    settings = {**ANSWERS, "max_steps": 1, **form}
    facts = train(replace(make_job("rloo", **settings), reward_model=str(reward.out / "model"))).facts
    assert facts.reference.weights == facts.weights_at_start
    assert facts.reward.weights == trained.weights_at_end
    assert facts.precision == trained.precision == form.get("precision", "float32")
    assert facts.sequences.with_gradient_per_pair == 2


def test_the_reference_is_of_the_policys_revision(make_job: Any) -> None:
    job = make_job("rloo", **ANSWERS)
    assert _reference_from(job) is None
    own = replace(job, revision="r1", facts=job.facts.model_copy(update={"trust_remote_code": True}))
    assert _reference_from(own) == {"revision": "r1", "trust_remote_code": True}


def test_prompts_stand_in_the_order_of_all_arms_and_whole_steps_alone() -> None:
    order = list(EpochOrder(7, 3))
    rows = list(Groups(EpochOrder(7, 3), prompts=3, answers=2, passes=2))
    first, second = ([row for row in order[i : i + 3] for _ in range(2)] for i in (0, 3))
    assert rows == [*first, *first, *second, *second]
    assert len(rows) == len(Groups(EpochOrder(7, 3), prompts=3, answers=2, passes=2))
    few = list(Groups(EpochOrder(2, 0), prompts=3, answers=1, passes=1))
    assert len(few) == 3
    assert set(few) == {0, 1}


def test_flops_of_answers_are_those_of_making_them(tiny_model: Path) -> None:
    model = transformers.AutoModelForCausalLM.from_pretrained(tiny_model)
    settings = transformers.GenerationConfig(do_sample=True, eos_token_id=2, pad_token_id=0)

    def make(answers: Answers) -> Any:
        return answered(model, answers, settings)

    asked = Answers(5, 9, 7)
    flops = AnswerFlops(make, [asked])
    assert flops._fit is not None
    assert make(asked).shape == (5, 16)
    assert flops.of(asked) == count(lambda: make(asked)).total
    windowed = AnswerFlops(
        lambda a: torch.ones(a.sequences, min(a.prompt, 4)) @ torch.ones(4, 3)[: a.prompt], [asked]
    )
    assert windowed._fit is None
    assert windowed.of(asked) == 2 * 5 * 4 * 3


def test_what_a_step_answered_stands_before_its_first_micro_batch() -> None:
    assert by_step([2, 2, 1], [10, 20]) == {0: 10, 2: 20, 4: 10}
