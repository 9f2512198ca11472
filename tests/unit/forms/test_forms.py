"""Forms of an export: what is written is loaded again, and is the model within what the form rounds."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM

from harness.data.base_model import EMBEDDED
from harness.errors import UserError
from harness.forms import load_form

TOKENS = torch.randint(20, 200, (2, 24), generator=torch.Generator().manual_seed(0))
WITHIN = {"full": 0.0, "gguf:f32": 0.0, "gguf:f16": 1e-5, "gguf:q8_0": 0.2, "int8": 0.1}
"""Of the mean absolute difference of logits on these tokens, where logits reach 13."""


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The embedded model in float32, with its tokenizer."""
    folder = Path(tmp_path_factory.mktemp("source")) / "model"
    shutil.copytree(EMBEDDED, folder)
    model = AutoModelForCausalLM.from_pretrained(EMBEDDED, dtype=torch.float32)
    model.save_pretrained(folder)
    return folder


def logits(model: Any) -> torch.Tensor:
    with torch.no_grad():
        return model(TOKENS).logits.float()


@pytest.mark.parametrize("name", WITHIN)
def test_what_is_written_is_the_model_within_what_its_form_rounds(
    name: str, source: Path, tmp_path: Path
) -> None:
    for package in {"gguf": ["gguf"], "int8": ["torchao"]}.get(name.partition(":")[0], []):
        pytest.importorskip(package)
    form, to = load_form(name), tmp_path / "written"
    form.module.write(source, to, form.variant)
    off = (logits(form.module.load(to)) - logits(load_form("full").module.load(source))).abs().mean().item()
    assert off <= WITHIN[name]
    assert form.module.ABOUT.rounds == (name != "full")
    assert (to / "tokenizer.json").is_file()
    weights = {file.suffix for file in to.iterdir()} & {".safetensors", ".gguf", ".bin", ".pt"}
    assert weights == {".gguf" if name.startswith("gguf") else ".safetensors"}


def test_another_reader_finds_every_weight_in_the_gguf_file(source: Path, tmp_path: Path) -> None:
    gguf = pytest.importorskip("gguf")
    from safetensors.torch import load_file

    load_form("gguf").module.write(source, tmp_path / "written", "f32")
    found = {one.name: one for one in gguf.GGUFReader(tmp_path / "written" / "model.gguf").tensors}
    saved = load_file(source / "model.safetensors")
    assert len(found) == len([name for name in saved if name != "lm_head.weight"])
    down = torch.tensor(found["blk.0.ffn_down.weight"].data)
    assert torch.equal(down, saved["model.layers.0.mlp.down_proj.weight"])


def test_what_no_form_can_do_is_one_message(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(UserError, match="int8"):
        load_form("int9")
    with pytest.raises(UserError, match=r"variant of gguf.*q8_0"):
        load_form("gguf:q4")
    with pytest.raises(UserError, match="variant of full"):
        load_form("full:q8_0")
    monkeypatch.setattr("harness.forms.find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"int8 needs torchao.*orpo-harness\[export\]"):
        load_form("int8")


def test_gguf_is_of_llama_alone(source: Path, tmp_path: Path) -> None:
    pytest.importorskip("gguf")
    other = tmp_path / "other"
    other.mkdir()
    config = {**json.loads((source / "config.json").read_text()), "model_type": "gpt_neox"}
    (other / "config.json").write_text(json.dumps(config))
    with pytest.raises(UserError, match=r"gpt_neox.*convert_hf_to_gguf"):
        load_form("gguf").module.write(other, tmp_path / "written", "q8_0")
