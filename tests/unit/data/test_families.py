"""Models that are no causal language models of text fail in `prepare`, each with one sentence."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import families
import pytest

from harness.data import base_model
from harness.data.families import check_family
from harness.errors import UserError

REASONS = {
    "gemma3": "of type gemma3 reads more than text",
    "qwen2_vl": "of type qwen2_vl reads more than text",
    "llava": "of type llava reads more than text",
    "t5": "of type t5 has an encoder",
    "bart": "of type bart has an encoder",
    "bert": "of type bert sees the tokens",
    "roberta": "of type roberta sees the tokens",
    "xlnet": "of type xlnet sees the tokens",
    "vit": "transformers knows no causal language model of type vit",
}


@pytest.mark.parametrize("name", REASONS)
def test_each_is_refused_where_models_are_found(name: str, tmp_path: Path, tiny_tokenizer: Any) -> None:
    families.refused(name).save_pretrained(tmp_path)
    tiny_tokenizer.save_pretrained(tmp_path)
    (tmp_path / "model.safetensors").write_bytes(b"")
    for source in (str(tmp_path), f"config:{tmp_path}"):
        with pytest.raises(UserError, match=REASONS[name]) as error:
            base_model.locate(source, None, tmp_path / "out")
        assert "give a causal language model of text alone" in str(error.value)


@pytest.mark.parametrize("name", families.TRAINABLE)
def test_families_that_are_trained_pass(name: str) -> None:
    import transformers

    kind, sizes = families.TRAINABLE[name]
    check_family(getattr(transformers, kind)(**sizes), "here")


def test_a_decoder_of_a_bidirectional_family_passes() -> None:
    config = families.refused("bert")
    config.is_decoder = True
    check_family(config, "here")
