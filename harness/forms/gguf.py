"""One file for llama.cpp and its kin: layers' matrices in 8 bits (q8_0), or in 16 or 32 (f16, f32).

Written by the gguf package for models of llama's architecture, from transformers' own weights: names as GGUF
has them, rows of q and k in the order of its rotary embedding. Read again by transformers, as floats.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from harness.errors import UserError
from harness.forms import FormAbout
from harness.generate.model_folder import copy_beside

ABOUT = FormAbout(
    "one file for llama.cpp: layers' matrices in blocks of 32 with a scale each (q8_0), or in 16 or 32 bits",
    packages=("gguf",),
    extra="export",
    variants=("q8_0", "f16", "f32"),
)
FILE = "model.gguf"
ARCHITECTURE = "llama"
BPE = "gpt2"
NO_TOKENIZER = "none"
"""As llama.cpp calls a file that brings no tokenizer: callers give ids of tokens."""


def write(source: Path, to: Path, variant: str | None) -> None:
    """`model.gguf`, with the tokenizer beside it, and in it where GGUF knows its kind (byte-level BPE)."""
    import gguf
    import torch

    config = json.loads((source / "config.json").read_text(encoding="utf-8"))
    if config["model_type"] != ARCHITECTURE:
        raise UserError(
            f"a model of type {config['model_type']} is not written as GGUF here",
            where=str(source),
            remedy="use llama.cpp's convert_hf_to_gguf.py on the exported full weights",
        )
    to.mkdir(parents=True)
    writer = gguf.GGUFWriter(to / FILE, ARCHITECTURE)
    _describe(writer, config, variant)
    _add_tokenizer(writer, source)
    kind = {"q8_0": gguf.GGMLQuantizationType.Q8_0, "f16": gguf.GGMLQuantizationType.F16}.get(variant or "")
    for name, weight in _tensors(source, config):
        array = weight.to(torch.float32).numpy()
        rounded = kind is not None and array.ndim == 2 and array.shape[1] % 32 == 0
        stored = kind if rounded else gguf.GGMLQuantizationType.F32
        writer.add_tensor(name, gguf.quants.quantize(array, stored), raw_dtype=stored)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    copy_beside(source, to)


def load(folder: Path) -> Any:
    """By transformers, as floats of 32 bits."""
    import torch
    import transformers

    loaded = transformers.AutoModelForCausalLM.from_pretrained(folder, gguf_file=FILE, dtype=torch.float32)
    return loaded.eval()


def _describe(writer: Any, config: Mapping[str, Any], variant: str | None) -> None:
    import gguf

    heads = config["num_attention_heads"]
    rope = config.get("rope_parameters") or config
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_head_count(heads)
    writer.add_head_count_kv(config.get("num_key_value_heads") or heads)
    writer.add_layer_norm_rms_eps(config["rms_norm_eps"])
    writer.add_rope_freq_base(float(rope.get("rope_theta") or 10_000.0))
    writer.add_rope_dimension_count(config.get("head_dim") or config["hidden_size"] // heads)
    writer.add_vocab_size(config["vocab_size"])
    types = {"q8_0": gguf.LlamaFileType.MOSTLY_Q8_0, "f16": gguf.LlamaFileType.MOSTLY_F16}
    writer.add_file_type(types.get(variant or "", gguf.LlamaFileType.ALL_F32))


def _tensors(source: Path, config: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Every weight by its name in GGUF; an output layer that is the embedding stands once."""
    import gguf
    from safetensors import safe_open

    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.LLAMA, config["num_hidden_layers"])
    heads = config["num_attention_heads"]
    groups = {"q_proj": heads, "k_proj": config.get("num_key_value_heads") or heads}
    for file in sorted(source.glob("*.safetensors")):
        with safe_open(file, framework="pt") as weights:
            for key in weights.keys():  # noqa: SIM118 - it is no dict
                name = names.get_name(key, try_suffixes=(".weight", ".bias"))
                if name is None:
                    raise UserError(
                        f"holds a weight that llama has not: {key}",
                        where=str(file),
                        remedy="export another form; full keeps everything",
                    )
                if key == "lm_head.weight" and config.get("tie_word_embeddings"):
                    continue
                tensor = weights.get_tensor(key)
                part = key.split(".")[-2]
                yield name, _in_order(tensor, groups[part]) if part in groups else tensor


def _in_order(weight: Any, heads: int) -> Any:
    """Rows of q or k by pairs, as GGUF's rotary embedding turns them; transformers turns halves."""
    halves = weight.reshape(heads, 2, weight.shape[0] // heads // 2, *weight.shape[1:])
    return halves.swapaxes(1, 2).reshape(weight.shape)


def _add_tokenizer(writer: Any, source: Path) -> None:
    file = source / "tokenizer.json"
    told = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
    model = told.get("model", {})
    if model.get("type") != "BPE" or not _byte_level(told):
        writer.add_tokenizer_model(NO_TOKENIZER)
        return
    import gguf

    tokens = sorted(model["vocab"], key=model["vocab"].__getitem__)
    special = {one["content"] for one in told.get("added_tokens", []) if one.get("special")}
    kinds = [gguf.TokenType.CONTROL if token in special else gguf.TokenType.NORMAL for token in tokens]
    merges = [merge if isinstance(merge, str) else " ".join(merge) for merge in model["merges"]]
    writer.add_tokenizer_model(BPE)
    writer.add_tokenizer_pre("smollm")
    writer.add_token_list(tokens)
    writer.add_token_types(kinds)
    writer.add_token_merges(merges)
    generation = json.loads((source / "generation_config.json").read_text(encoding="utf-8"))
    stops = generation.get("eos_token_id")
    stop = stops[0] if isinstance(stops, list) else stops
    if stop is not None:
        writer.add_eos_token_id(stop)
    template = source / "chat_template.jinja"
    if template.is_file():
        writer.add_chat_template(template.read_text(encoding="utf-8"))


def _byte_level(told: Mapping[str, Any]) -> bool:
    return "ByteLevel" in json.dumps(told.get("pre_tokenizer"))
