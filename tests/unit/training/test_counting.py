"""Counted steps: on shapes alone and for real the same to the last FLOP, and nothing is left of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import families
import pytest
import torch
from few import few
from torch._subclasses.fake_tensor import FakeTensor

from harness.errors import UserError
from harness.measure import counting
from harness.measure.counting import StepCounter
from harness.measure.flops import Bucket, FlopModel
from harness.measure.window import COUNTING, HEADLINE_PHASES
from harness.quantities import CATALOGUE
from harness.stages.ledger import PHASE_QUANTITIES
from harness.training.build import build
from harness.training.collate import read_rows
from harness.training.flops import count, unseen_kernels
from harness.training.job import StageTrainer, TrainJob
from harness.training.load import load_policy, load_tokenizer
from harness.training.rehearse import rehearse
from harness.training.run import train

MakeJob = Callable[..., TrainJob]
LORA = {"r": 4, "alpha": 8}
BUCKETS = [Bucket(2, 12, 9), Bucket(4, 16, 10)]
CASES: dict[str, tuple[str, dict[str, Any]]] = {
    "sft": ("sft", {}),
    "sft lora": ("sft", {"lora": LORA}),
    "sft checkpointing": ("sft", {"gradient_checkpointing": True}),
    "sft eager": ("sft", {"attention": "eager"}),
    "sft mixed": ("sft", {"precision": "mixed"}),
    "orpo lora mixed": ("orpo", {"lambda": 0.5, "lora": LORA, "precision": "mixed"}),
    "sft bfloat16": ("sft", {"precision": "bfloat16"}),
    "dpo": ("dpo", {"beta": 0.5}),
    "dpo precomputed": ("dpo", {"beta": 0.5, "reference": "precomputed"}),
    "dpo lora": ("dpo", {"beta": 0.5, "lora": LORA}),
    "orpo": ("orpo", {"lambda": 0.5}),
    "orpo lora checkpointing": ("orpo", {"lambda": 0.5, "lora": LORA, "gradient_checkpointing": True}),
}


@pytest.fixture
def counts_folder() -> None:
    """Each of these tests counts for itself."""


@pytest.fixture
def no_step_is_small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Steps of tiny models are counted as those of real ones are."""
    monkeypatch.setattr(counting, "SMALL", 0)


def trainer_of(job: TrainJob) -> StageTrainer:
    rows = read_rows(job.prepared / "train.parquet")
    trainer = build(job, load_policy(job), load_tokenizer(job.prepared), rows, rows)
    trainer.prepare_reference()
    return trainer


@pytest.mark.parametrize("model", ["tiny", pytest.param("embedded", marks=pytest.mark.slow)])
@pytest.mark.parametrize("case", few(CASES, "sft", "dpo", "orpo lora checkpointing"))
def test_shapes_alone_count_what_real_steps_do(
    make_job: MakeJob, case: str, model: str, no_step_is_small: None
) -> None:
    from harness.data.base_model import EMBEDDED

    method, settings = CASES[case]
    job = make_job(method, model=str(EMBEDDED) if model == "embedded" else None, **settings)
    trainer = trainer_of(job)
    by_shapes = StepCounter(trainer.models())
    really = StepCounter(trainer.models(), "told so")
    for bucket in BUCKETS:
        counts = [each(lambda b=bucket: trainer.step_once(b), bucket.tokens) for each in (by_shapes, really)]
        assert counts[0] == counts[1]
        assert counts[0].total > 0
    assert by_shapes.why_real is None


@pytest.mark.parametrize(("small", "how"), [(0, "by shapes alone"), (counting.SMALL, "by real steps")])
@pytest.mark.parametrize("case", few(["dpo", "orpo lora checkpointing"], "dpo"))
def test_a_counted_trainer_is_as_it_was(
    make_job: MakeJob, case: str, small: int, how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(counting, "SMALL", small)
    method, settings = CASES[case]
    trainer = trainer_of(make_job(method, **settings))
    before = {n: (p, p.detach().clone()) for n, p in trainer.model.named_parameters()}
    buffers = dict(trainer.model.named_buffers())
    flops = count(trainer, BUCKETS, [])
    assert flops.how == f"each, {how}"
    for name, parameter in trainer.model.named_parameters():
        assert parameter is before[name][0]
        assert torch.equal(parameter, before[name][1])
        assert parameter.grad is None
    assert all(b is buffers[n] for n, b in trainer.model.named_buffers())
    assert trainer.trace.drain() == {}
    trainer.train()
    losses = [row["metrics"]["loss"] for row in trainer.trace.rows if "loss" in row["metrics"]]
    assert losses
    assert not any(isinstance(loss, FakeTensor) or loss != loss for loss in losses)


def test_a_run_of_many_buckets_takes_one_small_real_step(make_job: MakeJob, no_step_is_small: None) -> None:
    """The largest real step is the one that checks the count."""
    trainer = trainer_of(make_job("sft"))
    seen: list[int] = []

    def noted(module: Any, args: Any, kwargs: Any) -> None:
        if not isinstance(kwargs["input_ids"], FakeTensor):
            seen.append(kwargs["input_ids"].numel())

    trainer.model.register_forward_pre_hook(noted, with_kwargs=True)
    flops = count(trainer, [Bucket(2, t, t) for t in range(100, 140)], [])
    assert flops.how == "fit, by shapes alone"
    assert seen == [2 * 16]


def test_a_rehearsal_counts_no_step_that_its_fit_foretells(
    make_job: MakeJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ten counts fix and check the run's; the steps that were tried were counted one by one on top."""
    counted: list[Any] = []
    own = StepCounter.__call__

    def noted(self: StepCounter, step: Any, tokens: int) -> Any:
        counted.append(step)
        return own(self, step, tokens)

    monkeypatch.setattr(StepCounter, "__call__", noted)
    foretold = rehearse(make_job("sft", epochs=40), 8).prediction
    assert foretold.flops_counted_by == "fit, by real steps"
    assert len(counted) <= 10


def test_counting_is_on_a_clock_of_its_own(make_job: MakeJob, monkeypatch: pytest.MonkeyPatch) -> None:
    """And the ledger says what it took."""
    job = make_job("sft")
    phases: list[str | None] = []
    own = StepCounter.__call__

    def noted(self: StepCounter, step: Any, tokens: int) -> Any:
        phases.append(job.window.current)
        return own(self, step, tokens)

    monkeypatch.setattr(StepCounter, "__call__", noted)
    for trained in (train, lambda job: rehearse(job, 3)):
        phases.clear()
        trained(job)
        assert set(phases) == {COUNTING}
    assert COUNTING not in HEADLINE_PHASES
    assert PHASE_QUANTITIES[COUNTING] in CATALOGUE


def test_a_step_that_reads_values_is_counted_for_real(make_job: MakeJob, no_step_is_small: None) -> None:
    trainer: Any = trainer_of(make_job("sft"))
    compute = trainer.compute_loss

    def reading(*args: Any, **kwargs: Any) -> Any:
        loss = compute(*args, **kwargs)
        assert float(loss) > 0
        return loss

    trainer.compute_loss = reading
    found = count(trainer, BUCKETS, [])
    assert found.how == "each, a step needs values (DataDependentOutputException)"
    trainer.compute_loss = compute
    assert found.total == count(trainer, BUCKETS, []).total


def test_where_the_two_counts_differ_real_steps_are_counted() -> None:
    """A kernel that is chosen by what torch knows of a device may differ."""

    def differing() -> None:
        size = 2 if isinstance(torch.ones(1), FakeTensor) else 3
        torch.ones(size, 1) @ torch.ones(1, 1)

    counter = StepCounter([])
    counter.check(differing)
    assert counter.why_real == "by its shapes a small step has 4 FLOPs and took 6"
    assert FlopModel({Bucket(2, 4, 2): 1}, lambda _: differing(), None, counter).of(Bucket(2, 4, 2)) == 6


def test_an_error_of_the_step_itself_is_raised() -> None:
    def broken() -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        StepCounter([])(broken, 0)


def test_stock_trainers_are_counted_by_real_steps(make_job: MakeJob) -> None:
    outcome = train(make_job("orpo", implementation="trl", **{"lambda": 0.2}))
    assert outcome.facts.flops_counted_by == "each, this trainer reads values in its steps"


@pytest.mark.slow
@pytest.mark.parametrize("name", ["mixtral", "qwen3_moe", "olmoe", "mistral, all layers in a window"])
@pytest.mark.parametrize("case", ["sft", "dpo"])
def test_a_stage_of_another_family_counts_what_the_formulas_say(
    make_family_job: MakeJob, name: str, case: str, no_step_is_small: None
) -> None:
    method, settings = CASES[case]
    outcome = train(make_family_job(name, method, **settings))
    found = {m.quantity: m.value for m in outcome.ledger}
    assert found["flops"] == found["flops_theory"]
    assert outcome.facts.flops_unknown_ops == []
    assert str(outcome.facts.flops_counted_by).endswith("by shapes alone")


def test_a_stage_without_a_formula_counts_and_says_why_there_is_none(make_family_job: MakeJob) -> None:
    outcome = train(make_family_job("lfm2", "orpo", **{"lambda": 0.2}))
    found = {m.quantity: m for m in outcome.ledger}
    assert found["flops"].value > 0
    for quantity in ("flops_theory", "useful_flops", "body_flops"):
        assert found[quantity].value is None
        assert found[quantity].reason == "no formula for layers of type conv"


def test_kernels_that_torch_does_not_see_are_named(monkeypatch: Any) -> None:
    model = families.family("mixtral")
    assert unseen_kernels(model) == set()
    model.config._experts_implementation_internal = "sonicmoe"
    assert unseen_kernels(model) == {"experts: sonicmoe"}
    monkeypatch.setitem(__import__("sys").modules, "mamba_ssm", torch)
    assert unseen_kernels(families.family("bamba")) == {"package mamba_ssm"}
    assert unseen_kernels(families.family("llama")) == set()


def test_attention_that_a_family_lacks_is_one_sentence(make_family_job: MakeJob) -> None:
    with pytest.raises(UserError, match=r"sdpa cannot be used \(Gemma2ForCausalLM does not"):
        load_policy(make_family_job("gemma2, capped", "sft"))
    with pytest.raises(UserError, match=r"attention: flash_attention_2 cannot be used .*training.attention"):
        load_policy(make_family_job("llama", "sft", attention="flash_attention_2"))
