"""Folded adapters answer as the adapters do."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from harness.errors import UserError
from harness.generate.load import load_model
from harness.generate.merged import merge


def test_whole_weights_have_the_logits_of_the_adapters(tiny_model: Path, tmp_path: Path) -> None:
    import peft
    import transformers

    base = transformers.AutoModelForCausalLM.from_pretrained(tiny_model, dtype=torch.float32)
    torch.manual_seed(0)
    adapted = peft.get_peft_model(
        base, peft.LoraConfig(r=4, target_modules="all-linear", init_lora_weights=False)
    )
    adapted.save_pretrained(tmp_path / "adapters")
    merge(tmp_path / "adapters", tmp_path / "whole", "float32")
    whole = load_model(str(tmp_path / "whole"), tiny_model, stop_token_ids=[2]).model
    plain = load_model(str(tiny_model), tiny_model, stop_token_ids=[2]).model
    ids = torch.arange(4, 24).unsqueeze(0)
    with torch.no_grad():
        wanted, got, without = (model(ids).logits for model in (adapted.eval(), whole, plain))
    assert (tmp_path / "whole" / "model.safetensors").is_file()
    assert torch.allclose(wanted, got, atol=1e-5)
    assert not torch.allclose(wanted, without, atol=1e-2)


def test_a_folder_without_adapters_is_refused(tiny_model: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="holds no adapters"):
        merge(tiny_model, tmp_path / "whole", "float32")
