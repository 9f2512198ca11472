"""Pickled weights and data are not read, code that a model brings is not run, and each is one message."""

from __future__ import annotations

import json
import pickle
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

from harness.data import base_model
from harness.data.files import read_file, split_files
from harness.errors import UserError
from harness.untrusted import PICKLED_DATA

OWN_CODE = """
from pathlib import Path
from transformers import LlamaConfig, LlamaForCausalLM
Path(__file__).with_name("ran").touch()
Path({ran!r}).touch()


class OwnConfig(LlamaConfig):
    model_type = "own"


class OwnModel(LlamaForCausalLM):
    config_class = OwnConfig
"""


class Evil:
    """Makes a file where it is unpickled."""

    def __init__(self, ran: Path) -> None:
        self.ran = ran

    def __reduce__(self) -> Any:
        return Path.touch, (self.ran,)


@pytest.fixture
def ran(tmp_path: Path) -> Path:
    return tmp_path / "ran"


@pytest.fixture
def pickled(tmp_path: Path, tiny_model: Path, ran: Path) -> Path:
    """A model whose only weights are a pickle that runs something."""
    folder = tmp_path / "pickled"
    shutil.copytree(tiny_model, folder, ignore=shutil.ignore_patterns("*.safetensors"))
    (folder / "pytorch_model.bin").write_bytes(pickle.dumps({"a": Evil(ran)}))
    return folder


def refused(act: Any, ran: Path) -> str:
    with pytest.raises(UserError) as caught:
        act()
    message = str(caught.value)
    assert "weights_only to False" not in message
    assert "weights_only=False" not in message
    assert not ran.exists()
    return message


def test_a_model_of_pickled_weights_is_one_message_with_the_way_out(pickled: Path, ran: Path) -> None:
    message = refused(lambda: base_model.locate(str(pickled), None, pickled), ran)
    assert message.startswith(f"{pickled}: has its weights as pickle alone (pytorch_model.bin)")
    assert "convert them to safetensors" in message
    assert "save_pretrained(NEW)" in message


@pytest.mark.parametrize("name", ["pytorch_model-00001-of-00002.bin", "model.pt", "consolidated.00.pth"])
def test_so_are_its_other_names(name: str, pickled: Path, ran: Path) -> None:
    (pickled / "pytorch_model.bin").rename(pickled / name)
    assert name in refused(lambda: base_model.locate(str(pickled), None, pickled), ran)


def test_pickles_beside_safetensors_are_left_alone(tiny_model: Path, tmp_path: Path, ran: Path) -> None:
    from harness.generate.load import load_weights

    folder = tmp_path / "both"
    shutil.copytree(tiny_model, folder)
    for name in ("pytorch_model.bin", "training_args.bin"):
        (folder / name).write_bytes(pickle.dumps(Evil(ran)))
    found = base_model.locate(str(folder), None, tmp_path)
    load_weights(found.path, None, torch.float32)
    assert not ran.exists()


def test_the_loaders_themselves_read_no_pickle(pickled: Path, ran: Path) -> None:
    from harness.benchmarks._embeddings import check_embedder, embed
    from harness.generate.load import load_weights
    from harness.judges import local_lm, reward_model

    name = str(pickled)
    asked = ("q", "a", "b")
    for act in (
        lambda: load_weights(name, None, torch.float32),
        lambda: local_lm.check(local_lm.Config(model=name)),
        lambda: local_lm.make(local_lm.Config(model=name)).prefer_all([asked]),
        lambda: reward_model.check(reward_model.Config(model=name)),
        lambda: reward_model.make(reward_model.Config(model=name)).prefer_all([asked]),
        lambda: check_embedder(name, where="benchmarks.diversity.embedder"),
        lambda: embed(name, ["a"]),
    ):
        message = refused(act, ran)
        assert "pickle" in message
        assert "convert them to safetensors" in message


def test_a_pickled_adapter_is_refused(tiny_model: Path, tmp_path: Path, ran: Path) -> None:
    from harness.generate.load import load_model

    folder = tmp_path / "adapter"
    folder.mkdir()
    described = {"peft_type": "LORA", "base_model_name_or_path": str(tiny_model), "target_modules": ["q"]}
    (folder / "adapter_config.json").write_text(json.dumps(described))
    (folder / "adapter_model.bin").write_bytes(pickle.dumps({"a": Evil(ran)}))
    message = refused(lambda: load_model(str(folder), tiny_model, stop_token_ids=[2]), ran)
    assert "adapter_model.bin" in message
    assert "save_file" in message
    assert "adapter_model.bin" in refused(lambda: base_model.locate(str(folder), None, folder), ran)


def test_a_hub_model_of_pickled_weights(
    pickled: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ran: Path
) -> None:
    """The hub's cache, as a download leaves it."""
    commit = "0123456789abcdef0123456789abcdef01234567"
    cache = tmp_path / "hub" / "models--org--tiny"
    (cache / "refs").mkdir(parents=True)
    (cache / "refs" / "main").write_text(commit)
    shutil.copytree(pickled, cache / "snapshots" / commit)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    message = refused(lambda: base_model.locate("org/tiny", None, tmp_path), ran)
    assert message.startswith('model "org/tiny": has its weights as pickle alone (pytorch_model.bin)')


@pytest.mark.parametrize("ending", PICKLED_DATA)
def test_pickled_data_are_refused(ending: str, tmp_path: Path, ran: Path) -> None:
    file = tmp_path / "data" / f"pairs{ending}"
    file.parent.mkdir()
    file.write_bytes(pickle.dumps([Evil(ran)]))
    for act in (lambda: read_file(file), lambda: split_files(file.parent)):
        message = refused(act, ran)
        assert message.startswith(f"{file}: is a {ending} file, which can run code when it is read")
        assert "to_parquet" in message


@pytest.fixture
def own_code(tmp_path: Path, tiny_model: Path, ran: Path) -> Path:
    """A model that brings its classes along."""
    folder = tmp_path / "own"
    shutil.copytree(tiny_model, folder)
    config = json.loads((folder / "config.json").read_text())
    auto_map = {"AutoConfig": "own.OwnConfig", "AutoModelForCausalLM": "own.OwnModel"}
    (folder / "config.json").write_text(json.dumps({**config, "model_type": "own", "auto_map": auto_map}))
    (folder / "own.py").write_text(OWN_CODE.format(ran=str(ran)))
    return folder


def test_code_of_a_model_is_not_run_unasked(own_code: Path, tmp_path: Path, ran: Path) -> None:
    from harness.generate.load import load_weights
    from harness.judges import local_lm

    for source in (str(own_code), f"config:{own_code}"):
        message = refused(lambda source=source: base_model.locate(source, None, tmp_path / "out"), ran)
        assert "brings code of its own, which is not run unasked" in message
        assert "--set trust_remote_code=true" in message
    refused(lambda: load_weights(str(own_code), None, torch.float32), ran)
    judge = local_lm.Config(model=str(own_code))
    assert "--set" not in refused(lambda: local_lm.check(judge), ran)


def test_asked_for_it_runs_and_is_recorded(
    own_code: Path, tmp_path: Path, ran: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from harness.data.prepare import PrepareConfig, prepare
    from harness.generate.load import load_model

    monkeypatch.setattr("transformers.dynamic_module_utils.HF_MODULES_CACHE", str(tmp_path / "modules"))
    pairs = tmp_path / "pairs.jsonl"
    rows = [{"prompt": f"w{4 + i}", "chosen": "w9 w8", "rejected": f"w7 w{4 + i}"} for i in range(20)]
    pairs.write_text("".join(json.dumps(row) + "\n" for row in rows))
    settings = {"model": str(own_code), "trust_remote_code": True, "data": {"source": str(pairs)}}
    out = tmp_path / "out"
    out.mkdir()
    facts = prepare(PrepareConfig.model_validate(settings), out, lambda done, total, more: None)
    assert facts.trust_remote_code
    assert ran.exists()
    loaded = load_model(str(facts.model_path), out / "tokenizer", stop_token_ids=[2], own_code=True)
    assert type(loaded.model).__name__ == "OwnModel"
    before = facts.model_digest
    (own_code / "own.py").write_text((own_code / "own.py").read_text() + "# changed\n")
    assert base_model.digest_folder(own_code) != before


def test_the_plan_and_the_report_say_so() -> None:
    from types import SimpleNamespace

    from conftest import prepared_facts

    from harness.evidence.sections.limits import _own_code as in_the_report

    for trusted in (False, True):
        facts = prepared_facts().model_copy(update={"trust_remote_code": trusted})
        view: Any = SimpleNamespace(replayed=False, prepared=facts)
        assert bool(in_the_report(view)) == trusted
