"""Adapters: one rule of dropout, the base in its revision, embeddings beside them, no hub in saving."""

from __future__ import annotations

import json
import socket
from pathlib import Path
from typing import Any

import families
import pytest
import torch
from few import few
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM

from harness.errors import UserError
from harness.generate.load import base_of_adapters, load_model
from harness.generate.logprobs import pair_log_probs
from harness.pipeline.model_form import ModelForm
from harness.records import HeadKind
from harness.training.adapters import adaptable_layers
from harness.training.collate import read_rows
from harness.training.load import load_policy
from harness.training.run import train

LORA = {"r": 2, "alpha": 4, "target_modules": ["q_proj", "v_proj"]}
METHODS: list[tuple[str, dict[str, Any]]] = [("sft", {}), ("dpo", {"beta": 0.1}), ("orpo", {"lambda": 0.1})]


@pytest.mark.parametrize("implementation", ["matched", "trl"])
@pytest.mark.parametrize(("method", "settings"), few(METHODS, METHODS[2]))
def test_dropout_acts_in_every_method_alike(
    make_job: Any, method: str, settings: Any, implementation: str
) -> None:
    """TRL switches it off for DPO and ORPO and leaves it on for SFT."""
    lora = {**LORA, "dropout": 0.25}
    job = make_job(method, lora=lora, implementation=implementation, max_steps=1, **settings)
    assert train(job).facts.lora.dropout == 0.25


def test_dropout_is_recorded_as_the_model_has_it_and_not_as_it_was_wished(make_job: Any) -> None:
    from harness.training.load import adapters_dropout

    policy = load_policy(make_job("sft", lora={**LORA, "dropout": 0.25}))
    assert adapters_dropout(policy.model) == 0.25
    for module in policy.model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    assert adapters_dropout(policy.model) == 0.0


def test_adapters_bring_their_base_in_its_revision(make_job: Any, tiny_model: Path, monkeypatch: Any) -> None:
    """The base was loaded from main, in DPO and in scoring."""
    from dataclasses import replace

    asked: list[tuple[str, str | None]] = []
    own = AutoModelForCausalLM.from_pretrained

    def from_pretrained(path: Any, *args: Any, revision: str | None = None, **kwargs: Any) -> Any:
        asked.append((str(path), revision))
        return own(path, *args, **kwargs)

    monkeypatch.setattr(AutoModelForCausalLM, "from_pretrained", from_pretrained)
    sft = replace(make_job("sft", name="sft", lora=LORA, max_steps=1), revision="abc123")
    train(sft)
    assert base_of_adapters(str(sft.out / "model")) == (str(tiny_model), "abc123")
    dpo = make_job("dpo", name="dpo", model=str(sft.out / "model"), lora=LORA, beta=0.1, max_steps=1)
    train(dpo)
    assert base_of_adapters(str(dpo.out / "model")) == (str(tiny_model), "abc123")
    load_model(str(dpo.out / "model"), dpo.prepared / "tokenizer", stop_token_ids=[2])
    assert asked == [(str(tiny_model), "abc123")] * 3


def test_saving_adapters_of_a_hub_model_asks_no_hub(
    make_job: Any, tiny_model: Path, monkeypatch: Any
) -> None:
    from harness.training import run as running

    own = running._save

    def as_of_a_hub_model(trainer: Any, folder: Path, *gathered: Any) -> None:
        trainer.model.peft_config["default"].base_model_name_or_path = "someone/some-model"
        trainer.model.get_base_model().config._name_or_path = "someone/some-model"
        monkeypatch.setenv("HF_HUB_OFFLINE", "0")
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)

        def refuse(*args: Any, **kwargs: Any) -> None:
            raise AssertionError("saving opened a connection")

        monkeypatch.setattr(socket.socket, "connect", refuse)
        monkeypatch.setattr("peft.utils.save_and_load.check_file_exists_on_hf_hub", refuse)
        own(trainer, folder, *gathered)

    monkeypatch.setattr(running, "_save", as_of_a_hub_model)
    job = make_job("sft", lora=LORA, max_steps=1)
    train(job)
    described = json.loads((job.out / "model" / "adapter_config.json").read_text())
    assert described["base_model_name_or_path"] == "someone/some-model"


def test_layers_that_cannot_have_adapters_are_one_sentence_that_names_those_that_can(
    make_family_job: Any,
) -> None:
    """peft refuses a state-space mixer's out_proj, which "all-linear" holds."""
    mamba = make_family_job("mamba", "sft", attention="eager", lora={"r": 2, "alpha": 4})
    with pytest.raises(
        UserError, match=r"target_modules: all-linear .*'out_proj' is incompatible"
    ) as refused:
        load_policy(mamba)
    assert refused.value.remedy.endswith("for all arms: [in_proj]")
    given = {**LORA, "target_modules": ["in_proj"]}
    outcome = train(make_family_job("mamba", "sft", attention="eager", lora=given))
    assert outcome.facts.lora.target_modules == ["in_proj"]


@pytest.mark.parametrize("name", ["mamba", "jamba", "bamba", "gpt2", "mixtral"])
def test_all_adapters_that_a_message_may_name_are_trained(name: str) -> None:
    """A mixer reads the weights of dt_proj, and an adapter beside them gets no gradient."""
    model = families.family(name)
    settings = LoraConfig(r=2, target_modules=adaptable_layers(model), task_type="CAUSAL_LM")
    adapted = get_peft_model(model, settings)
    ids = torch.randint(3, families.VOCABULARY, (2, 8))
    adapted(input_ids=ids, labels=ids).loss.backward()
    untrained = [n for n, p in adapted.named_parameters() if "lora_B" in n and p.grad is None]
    assert untrained == []


@pytest.mark.parametrize("wrong", [["q_porj"], ["mlp"], "("])
def test_target_modules_that_are_no_linear_layers_are_one_sentence(make_job: Any, wrong: Any) -> None:
    with pytest.raises(UserError, match=r"target_modules: .* cannot be used .*\(.+\)") as refused:
        load_policy(make_job("sft", lora={**LORA, "target_modules": wrong}))
    assert "\n" not in str(refused.value)
    assert "[down_proj, gate_proj, k_proj, o_proj, q_proj, up_proj, v_proj]" in refused.value.remedy


@pytest.mark.parametrize(
    ("setting", "names", "message"),
    [
        ("target_modules", ["q_proj", "v_porj"], r'v_porj cannot be used .*did you mean "v_proj"\?'),
        ("target_modules", ["q_proj", "proj"], "proj cannot be used"),
        ("target_modules", ["layers.7.self_attn.q_proj", "q_proj"], "layers.7.self_attn.q_proj cannot"),
        ("modules_to_save", ["lm_head", "embed_token"], r'embed_token .*did you mean "embed_tokens"\?'),
    ],
)
def test_a_misspelt_module_among_right_ones_is_named(
    make_job: Any, setting: str, names: list[str], message: str
) -> None:
    """peft adapts those that are there, and says nothing of the rest."""
    with pytest.raises(UserError, match=rf"lora.{setting}: {message}"):
        load_policy(make_job("sft", lora={**LORA, setting: names}))


def test_a_module_by_its_path_is_one(make_job: Any) -> None:
    paths = ["model.layers.0.self_attn.q_proj", "self_attn.v_proj"]
    assert load_policy(make_job("sft", lora={**LORA, "target_modules": paths})).adapters == "fresh"


@pytest.mark.parametrize("name", ["mamba", "jamba"])
def test_adapters_that_would_not_learn_are_refused(make_family_job: Any, name: str) -> None:
    """They were trained for nothing: a mixer reads the weights of dt_proj, and adapters get no gradient."""
    lora = {**LORA, "target_modules": ["in_proj", "dt_proj"]}
    with pytest.raises(UserError, match=r"adapters of dt_proj would not learn .*; set .*in_proj"):
        load_policy(make_family_job(name, "sft", attention="eager", lora=lora))


@pytest.mark.slow
@pytest.mark.parametrize("modules", [["embed_tokens", "lm_head"], ["lm_head"], ["embed_tokens"]])
def test_embeddings_and_head_train_beside_adapters(
    make_job: Any, probed: None, tiny_model: Path, modules: list[str]
) -> None:
    lora = {**LORA, "modules_to_save": modules}
    sft = make_job("sft", name="sft", lora=lora, epochs=2)
    facts = train(sft).facts
    assert facts.lora.modules_to_save == modules
    assert facts.head.kind == HeadKind.CHUNKED
    dpo = make_job("dpo", name="dpo", model=str(sft.out / "model"), lora=lora, beta=0.1, max_steps=2)
    after = train(dpo).facts
    assert after.weights_at_start == after.reference.weights == facts.weights_at_end
    assert after.first_loss == pytest.approx(0.6931472, abs=1e-5)
    loaded = load_model(
        str(dpo.out / "model"), dpo.prepared / "tokenizer", stop_token_ids=[2], form=ModelForm(adapters=True)
    )
    rows = read_rows(dpo.prepared / "test.parquet").first(int(after.probe_last["probe_pairs"]))
    again = pair_log_probs(loaded.model, rows, 0, 2).chosen_mean.mean()
    assert again == pytest.approx(after.probe_last["probe_logp_chosen"], abs=1e-6)


def test_a_tied_head_trains_with_its_embeddings(
    make_job: Any, probed: None, tiny_model: Path, tmp_path: Path
) -> None:
    model = AutoModelForCausalLM.from_pretrained(tiny_model)
    model.config.tie_word_embeddings = True
    model.tie_weights()
    model.save_pretrained(tmp_path / "tied")
    lora = {**LORA, "modules_to_save": ["embed_tokens"]}
    job = make_job("sft", model=str(tmp_path / "tied"), lora=lora, epochs=2)
    facts = train(job).facts
    loaded = load_model(
        str(job.out / "model"), job.prepared / "tokenizer", stop_token_ids=[2], form=ModelForm(adapters=True)
    )
    rows = read_rows(job.prepared / "test.parquet").first(int(facts.probe_last["probe_pairs"]))
    again = pair_log_probs(loaded.model, rows, 0, 2).chosen_mean.mean()
    assert again == pytest.approx(facts.probe_last["probe_logp_chosen"], abs=1e-6)
    embedded = loaded.model.get_input_embeddings()
    assert "ModulesToSaveWrapper" in type(embedded).__name__


def test_stock_trainers_prepare_data_on_its_own_clock_and_hash_no_weights(
    make_job: Any, monkeypatch: Any
) -> None:
    """datasets hashed all weights to name a cache, inside the load that ORPO is charged for."""
    from datasets.fingerprint import Hasher
    from transformers import Trainer

    hashed: list[Any] = []
    own = Hasher.update

    def update(self: Any, value: Any) -> None:
        hashed.append(value)
        own(self, value)

    monkeypatch.setattr(Hasher, "update", update)
    for method, settings in METHODS:
        job = make_job(method, name=method, implementation="trl", max_steps=1, **settings)
        train(job)
        assert job.window.seconds["data"] > 0, method
    assert not [v for v in hashed if isinstance(getattr(v, "__self__", None), Trainer)]
