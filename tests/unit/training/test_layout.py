"""Flat micro-batches train what padded ones do, for every method, and say of themselves what they are."""

from __future__ import annotations

from typing import Any

import pytest
from few import few

from harness.errors import UserError
from harness.training import layout
from harness.training.build import build
from harness.training.collate import read_rows
from harness.training.load import load_policy, load_tokenizer
from harness.training.run import Run, run_trainer, train

LORA = {"r": 4, "alpha": 8}
STOPPING = {"early_stopping": {"patience": 3, "eval_every_steps": 2}}
PADDED, FLAT, SHARED = {"packing": "off"}, {"shared_prompt": "off"}, {}
LAYOUTS: dict[str, dict[str, Any]] = {"padded": PADDED, "flat": FLAT, "shared": SHARED}
CASES: dict[str, tuple[str, dict[str, Any], tuple[str, ...]]] = {
    "sft": ("sft", {}, ("flat",)),
    "sft one by one": ("sft", {"micro_batch_size": 1}, ("flat",)),
    "dpo": ("dpo", {"beta": 0.5, **STOPPING}, ("shared",)),
    "dpo precomputed": ("dpo", {"beta": 0.5, "reference": "precomputed", **STOPPING}, ("flat", "shared")),
    "dpo adapters": ("dpo", {"beta": 0.5, "lora": LORA}, ("shared",)),
    "orpo checkpointing": ("orpo", {"lambda": 0.5, "gradient_checkpointing": True}, ("shared",)),
    "orpo prompt too": ("orpo", {"lambda": 0.5, "nll_scope": "prompt+response"}, ("flat", "shared")),
}


def losses(done: Run) -> list[float]:
    """Of training and of early stopping, in order."""
    rows = [row["metrics"] for row in done.trainer.trace.rows]
    return [row[name] for row in rows for name in ("loss", "eval_loss") if name in row]


@pytest.mark.parametrize("case", few(CASES, "dpo", "orpo prompt too"))
def test_every_layout_trains_the_same(make_job: Any, case: str) -> None:
    seen: dict[str, list[float]] = {}
    method, settings, layouts = CASES[case]
    for name in ("padded", *layouts):
        job = make_job(method, name=name, learning_rate=1e-3, **settings, **LAYOUTS[name])
        done = run_trainer(job, read_rows(job.train_file), observed=False)
        seen[name] = losses(done)
        assert done.trainer.layout_facts().flat == (name != "padded")
    assert len(seen["padded"]) >= 3
    for name in layouts:
        assert seen[name] == pytest.approx(seen["padded"], rel=1e-5)


@pytest.mark.parametrize(("method", "settings"), [("dpo", {"beta": 0.5})])
def test_a_stage_records_its_layout_and_what_it_computed(
    make_job: Any, method: str, settings: dict[str, Any]
) -> None:
    found = {name: train(make_job(method, name=name, **settings, **LAYOUTS[name])) for name in LAYOUTS}
    facts = {name: outcome.facts for name, outcome in found.items()}
    ledger = {name: {m.quantity: m.value for m in outcome.ledger} for name, outcome in found.items()}
    assert all(one["tokens_real"] == ledger["padded"]["tokens_real"] for one in ledger.values())
    batches = {name: one.batches for name, one in facts.items()}
    micro_batches = 12 // 2
    # A row has one token of padding.
    assert batches["flat"].tokens_padded == batches["flat"].tokens_real + micro_batches
    assert ledger["flat"]["tokens_padded"] == batches["flat"].tokens_padded
    assert batches["flat"].tokens_padded < batches["padded"].tokens_padded
    if method == "dpo":
        assert batches["shared"].tokens_padded < batches["shared"].tokens_real
    for name in ("chosen_ids", "chosen_scored", "rejected_ids", "longest_chosen", "padding"):
        assert len({getattr(one, name) for one in batches.values()}) == 1
    assert len({one.sequences for one in facts.values()}) == 1
    assert facts["padded"].layout.reason == "packing: off"
    assert facts["shared"].layout.shared_prompt
    assert facts["shared"].layout.difference <= facts["shared"].layout.tolerance
    assert {one.attention for one in facts.values()} == {"sdpa"}
    for one in ledger.values():
        assert one["flops"] == one["flops_theory"]
    assert ledger["shared"]["flops"] < ledger["padded"]["flops"]


def test_rows_of_one_sequence_are_counted_too(make_job: Any) -> None:
    outcome = train(make_job("sft", micro_batch_size=1))
    ledger = {m.quantity: m.value for m in outcome.ledger}
    assert ledger["flops"] == ledger["flops_theory"]


def trainer_of(job: Any) -> Any:
    rows = read_rows(job.train_file)
    return build(job, load_policy(job), load_tokenizer(job.prepared), rows, None)


@pytest.mark.parametrize(
    ("name", "settings", "reason"),
    [
        ("bloom", {"attention": "eager"}, "attention: eager"),
        ("qwen2, one layer in a window", {}, "its attention has a window of 4 tokens"),
        ("jamba", {}, "its attention is no exchangeable function"),
        ("mixtral", {"router_aux_loss": 0.1}, "router_aux_loss is of padded batches"),
    ],
)
def test_a_model_that_cannot_is_padded_and_says_why(
    make_family_job: Any, name: str, settings: dict[str, Any], reason: str
) -> None:
    facts = trainer_of(make_family_job(name, "orpo", **{"lambda": 0.5}, **settings)).layout_facts()
    assert (facts.flat, facts.shared_prompt, facts.reason) == (False, False, reason)


@pytest.mark.parametrize("wish", ["packing", "shared_prompt"])
def test_who_insists_on_what_a_model_cannot_is_told(make_family_job: Any, wish: str) -> None:
    job = make_family_job("mistral, all layers in a window", "sft", **{wish: "on"})
    with pytest.raises(UserError, match=f"{wish}: on cannot be kept with this model .*window of 4") as told:
        trainer_of(job)
    assert told.value.remedy == f"leave training.{wish} out, so that every arm is padded"


def test_a_model_whose_rows_give_other_log_probs_is_padded(
    make_job: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(layout, "_difference", lambda *_: 0.5)
    facts = trainer_of(make_job("sft")).layout_facts()
    assert not facts.flat
    assert facts.reason == "its log-probs differ by 0.5 from those of padded sequences"


def test_a_sample_shows_a_model_that_forgets_positions(
    make_family_job: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from transformers.models.gpt2.modeling_gpt2 import GPT2Model

    own = GPT2Model.forward

    def forgetful(self: Any, *args: Any, position_ids: Any = None, **kwargs: Any) -> Any:
        return own(self, *args, **kwargs)

    monkeypatch.setattr(GPT2Model, "forward", forgetful)
    facts = trainer_of(make_family_job("gpt2", "sft")).layout_facts()
    assert not facts.flat
    assert "its log-probs differ by" in str(facts.reason)
