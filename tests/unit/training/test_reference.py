"""DPO's reference is the model that DPO starts from: three proofs, with and without LoRA."""

from __future__ import annotations

import json
import math
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from few import few
from transformers import Trainer

from harness.errors import UserError
from harness.measure.window import CHECKPOINT, HEADLINE_PHASES
from harness.quantities import CATALOGUE
from harness.records import ReferenceHolder, ReferenceMode
from harness.stages.ledger import PHASE_QUANTITIES
from harness.training.job import TrainJob, TrainOutcome
from harness.training.reference import Reference
from harness.training.run import train as run

LORA = {"r": 4, "alpha": 8}


def figures(outcome: TrainOutcome) -> dict[str, Any]:
    return {m.quantity: m.value for m in outcome.ledger}


@pytest.mark.parametrize("lora", few([None, LORA], None))
@pytest.mark.parametrize("reference", few(["in_loop", "precomputed"], "in_loop"))
def test_dpo_after_sft_starts_from_and_is_compared_with_the_sft_model(
    make_job: Any, probed: None, lora: Any, reference: str
) -> None:
    sft = run(make_job("sft", name="sft", epochs=3, lora=lora))
    model = str(make_job("sft", name="sft").out / "model")
    dpo = run(make_job("dpo", name="dpo", model=model, beta=0.5, reference=reference, lora=lora))
    assert dpo.facts.first_loss == pytest.approx(math.log(2), abs=1e-4)
    for key in ("probe_logp_chosen", "probe_logp_rejected"):
        start, end = dpo.facts.probe_first[key], sft.facts.probe_last[key]
        assert start == pytest.approx(end, abs=1e-5)
        assert abs(start - sft.facts.probe_first[key]) > 1e-3
    assert dpo.facts.weights_at_start == sft.facts.weights_at_end
    assert dpo.facts.weights_at_end != dpo.facts.weights_at_start


def test_precomputed_and_in_loop_references_train_the_same_model(make_job: Any, probed: None) -> None:
    results = [
        run(make_job("dpo", name=mode, beta=0.5, reference=mode)) for mode in ("in_loop", "precomputed")
    ]
    ends = [r.facts.probe_last["probe_logp_chosen"] for r in results]
    assert ends[0] == pytest.approx(ends[1], abs=1e-4)
    assert [r.facts.sequences.forwarded_per_pair for r in results] == [4, 2]


def test_the_reference_pass_is_on_the_clock(make_job: Any) -> None:
    job = make_job("dpo", beta=0.5, reference="precomputed")
    run(job)
    assert job.window.seconds["reference"] > 0


def test_a_fresh_adapter_is_compared_with_the_base(make_job: Any) -> None:
    outcome = run(make_job("dpo", beta=0.5, lora=LORA, reference="adapter_off"))
    reference = outcome.facts.reference
    assert (reference.mode, reference.holder) == (ReferenceMode.IN_LOOP, ReferenceHolder.BASE)
    assert outcome.facts.first_loss == pytest.approx(math.log(2), abs=1e-4)


def test_adapter_off_is_refused_after_sft_with_lora(make_job: Any) -> None:
    run(make_job("sft", name="sft", lora=LORA))
    model = str(make_job("sft", name="sft").out / "model")
    with pytest.raises(UserError, match="without its adapter this policy is not the model"):
        run(make_job("dpo", name="dpo", model=model, beta=0.5, lora=LORA, reference="adapter_off"))


def test_another_adapter_than_the_sft_stage_had_is_refused(make_job: Any) -> None:
    run(make_job("sft", name="sft", lora=LORA))
    model = str(make_job("sft", name="sft").out / "model")
    with pytest.raises(UserError, match="give all stages of an arm the same lora"):
        run(make_job("dpo", name="dpo", model=model, beta=0.5, lora={"r": 2, "alpha": 8}))


def test_saved_adapter_has_no_reference_copy_and_finds_its_base(make_job: Any, tiny_model: Any) -> None:
    from transformers import AutoModelForCausalLM

    run(make_job("sft", name="sft", lora=LORA))
    model = make_job("sft", name="sft").out / "model"
    job = make_job("dpo", name="dpo", model=str(model), beta=0.5, lora=LORA)
    run(job)
    saved = job.out / "model"
    assert not (saved / "ref").exists()
    assert json.loads((saved / "adapter_config.json").read_text())["base_model_name_or_path"] == str(
        tiny_model
    )
    assert AutoModelForCausalLM.from_pretrained(saved) is not None


@pytest.mark.parametrize("lora", few([None, LORA], None))
@pytest.mark.parametrize(
    ("method", "settings"),
    [
        ("sft", {}),
        ("dpo", {"beta": 0.5}),
        ("dpo", {"beta": 0.5, "reference": "precomputed"}),
        ("orpo", {"lambda": 0.5}),
    ],
)
def test_counted_flops_agree_with_theory(make_job: Any, method: str, settings: Any, lora: Any) -> None:
    outcome = run(replace(make_job(method, lora=lora, **settings), counts_folder=None))
    found = figures(outcome)
    assert found["flops"] == pytest.approx(found["flops_theory"], rel=0.01)
    assert outcome.facts.flops_unknown_ops == []
    if method == "dpo":
        assert 0 < found["reference_flops"] < found["flops"]


@pytest.mark.slow
@pytest.mark.parametrize("lora", [None, LORA])
@pytest.mark.parametrize("attention", ["sdpa", "eager"])
def test_counted_flops_agree_with_checkpointing(make_job: Any, attention: str, lora: Any) -> None:
    settings = {"gradient_checkpointing": True, "attention": attention, "lora": lora, "lambda": 0.5}
    found = figures(run(replace(make_job("orpo", **settings), counts_folder=None)))
    assert found["flops"] == pytest.approx(found["flops_theory"], rel=0.01)


def test_early_stopping_evaluates_off_the_headline(make_job: Any) -> None:
    job = make_job("sft", epochs=4, early_stopping={"patience": 1, "eval_every_steps": 2})
    run(job)
    rows = [json.loads(line) for line in (job.out / "steps.jsonl").read_text().splitlines()]
    assert any("eval_loss" in row["metrics"] for row in rows)
    assert job.window.seconds["evaluation"] > 0
    assert not (job.out / "checkpoints").exists()


@pytest.mark.parametrize(
    ("settings", "kept"),
    [
        ({"early_stopping": {"patience": 9, "eval_every_steps": 2}}, {"save_model", "_load_best_model"}),
        ({"keep_checkpoints": True, "checkpoint_every_steps": 2}, {"save_model"}),
    ],
)
def test_checkpoints_are_on_a_clock_of_their_own(
    make_job: Any, settings: Any, kept: set[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """They were booked as training, which an arm that stops early was charged for."""
    job = make_job("sft", **settings)
    seen: set[tuple[str, str | None]] = set()
    for name in ("save_model", "_load_best_model"):
        own = getattr(Trainer, name)

        def watched(self: Any, *args: Any, own: Any = own, name: str = name, **kwargs: Any) -> None:
            seen.add((name, job.window.current))
            own(self, *args, **kwargs)

        monkeypatch.setattr(Trainer, name, watched)
    run(job)
    assert seen == {(name, CHECKPOINT) for name in kept}
    assert CHECKPOINT not in HEADLINE_PHASES
    assert PHASE_QUANTITIES[CHECKPOINT] in CATALOGUE


STOPPING = {"epochs": 3, "early_stopping": {"patience": 9, "eval_every_steps": 2}}


def evaluation_losses(job: TrainJob) -> list[float]:
    rows = [json.loads(line) for line in (job.out / "steps.jsonl").read_text().splitlines()]
    return [row["metrics"]["eval_loss"] for row in rows if "eval_loss" in row["metrics"]]


def with_rows_of(job: TrainJob, folder: Path, **files: str) -> TrainJob:
    """`job` on a copy of its prepared data in which some splits hold the rows of others."""
    shutil.copytree(job.prepared, folder)
    for split, source in files.items():
        shutil.copyfile(job.prepared / f"{source}.parquet", folder / f"{split}.parquet")
    return replace(job, prepared=folder)


@pytest.mark.slow
def test_early_stopping_selects_on_validation_and_never_on_the_test(make_job: Any, tmp_path: Path) -> None:
    jobs = {
        "as prepared": make_job("sft", name="plain", **STOPPING),
        "other test": with_rows_of(make_job("sft", name="a", **STOPPING), tmp_path / "t", test="train"),
        "other validation": with_rows_of(
            make_job("sft", name="b", **STOPPING), tmp_path / "v", validation="train"
        ),
    }
    for job in jobs.values():
        run(job)
    losses = {name: evaluation_losses(job) for name, job in jobs.items()}
    assert len(losses["as prepared"]) == 5
    assert losses["other test"] == losses["as prepared"]
    assert losses["other validation"] != losses["as prepared"]


@pytest.mark.slow
@pytest.mark.parametrize("lora", [None, LORA])
def test_a_precomputed_reference_knows_validation_pairs_from_training_pairs(make_job: Any, lora: Any) -> None:
    losses = []
    for mode in ("in_loop", "precomputed"):
        job = make_job("dpo", name=mode, beta=0.5, reference=mode, lora=lora, **STOPPING)
        run(job)
        losses.append(evaluation_losses(job))
    assert losses[0] == pytest.approx(losses[1], abs=1e-4)


@pytest.mark.slow
def test_the_reference_of_validation_pairs_is_not_charged_to_the_method(
    make_job: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = make_job("dpo", beta=0.5, reference="precomputed", **STOPPING)
    passes: list[tuple[str | None, str, int]] = []
    precompute = Reference.precompute

    def watched(self: Reference, batches: Any, split: str) -> None:
        made = list(batches)
        passes.append((job.window.current, split, sum(len(batch["indices"]) for batch in made)))
        precompute(self, iter(made), split)

    monkeypatch.setattr(Reference, "precompute", watched)
    outcome = run(job)
    assert passes == [("reference", "train", 12), ("evaluation", "validation", 4)]
    alone = run(make_job("dpo", name="alone", beta=0.5, reference="precomputed", epochs=3))
    assert figures(outcome)["reference_flops"] == figures(alone)["reference_flops"]
    assert outcome.facts.sequences == alone.facts.sequences


def test_quantization_without_a_gpu_is_refused(make_job: Any) -> None:
    import torch

    if torch.cuda.is_available():
        pytest.skip("this machine has a GPU")
    with pytest.raises(UserError, match="needs a CUDA GPU"):
        run(make_job("sft", quantization="4bit", lora=LORA))


def test_every_method_logs_the_shared_names(make_job: Any) -> None:
    shared = {"loss", "nll", "logp_chosen", "grad_norm", "learning_rate"}
    pairwise = {"logp_rejected", "margin", "preference_accuracy", "log_odds_ratio", "log_odds_margin"}
    for method, settings in (("sft", {}), ("dpo", {"beta": 0.5}), ("orpo", {"lambda": 0.5})):
        job = make_job(method, name=method, **settings)
        run(job)
        rows = [json.loads(line) for line in (job.out / "steps.jsonl").read_text().splitlines()]
        logged = set().union(*(row["metrics"] for row in rows))
        assert shared <= logged
        assert method == "sft" or pairwise <= logged
