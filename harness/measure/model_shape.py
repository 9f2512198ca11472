"""What decides a model's FLOPs, read off the model: its matrices, who attends how widely, its experts.

A family is known by what its modules and its configuration say, never by its name. What they leave open has
no formula, and says so: a state-space layer, a convolution, a recurrence.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

_BLOCK = re.compile(r"(^|\.)(layers|h|blocks)\.\d+\.")
_FIRST_BLOCK = re.compile(r"(^|\.)(layers|h|blocks)\.0\.")
_READS_THE_BLOCKS_INPUT = (
    "q_proj|k_proj|v_proj|qkv_proj|query_key_value|c_attn|qkv|Wqkv|q_a_proj|kv_a_proj_with_mqa"
)
_ENTERS_MLP = "dense_h_to_4h|fc1|fc_in|gate_proj|up_proj|gate_up_proj"
_PARALLEL_FAMILIES = ("cohere", "cohere2", "phi", "gptj", "codegen")
_NORM_AFTER_MLP = re.compile(r"post_(feedforward|ffn|mlp)_?(layer)?norm")
ATTENDING = ("full_attention", "sliding_attention", "chunked_attention", "attention")
_EXPERTS = ("num_experts", "num_local_experts", "n_routed_experts")
_EXPERTS_A_TOKEN = ("num_experts_per_tok", "moe_topk", "moe_top_k", "top_k")


class NoFormula(Exception):
    """This model's FLOPs are not known from formulas; the message says why."""


@dataclass(frozen=True)
class ModelShape:
    """Numbers of weights that a token meets, and widths of attention.

    `body`: matrices of all blocks, of experts only those that a token is sent to; `first`: those that see
    the embeddings directly and so need no gradient of their input when the embeddings are frozen; `lora`,
    `lora_first`: the same for adapters (`lora_first` counts the A matrices alone). `last`: each block's final
    matrix, where recomputing a block stops short of it, since nothing of its output is needed. `scores` and
    `values` sum the query heads' widths of keys and of values over the attending layers, and `windows` holds
    each one's window of keys, None where it sees all.
    """

    body: int
    first: int
    lora: int
    lora_first: int
    last: int
    scores: int
    values: int
    windows: tuple[int | None, ...]
    hidden: int
    vocabulary: int

    @classmethod
    def of_model(cls, model: Any) -> ModelShape:
        """The shape of a transformers causal LM, with or without peft adapters named default.

        Only sizes are read: a model on the meta device will do. Raises NoFormula.
        """
        config, output = model.config.get_text_config(), model.get_output_embeddings()
        windows = _windows(config)
        scores, values = _head_widths(config)
        matrices = list(_matrices(model, config, set(output.modules())))
        adapters = [m for m in matrices if m.adapter]
        weights = [m for m in matrices if not m.adapter]
        return cls(
            body=sum(m.active for m in weights),
            first=sum(m.active for m in weights if m.first),
            lora=sum(m.active for m in adapters),
            lora_first=sum(m.active for m in adapters if m.first and "lora_A" in m.name),
            last=_last(model, weights),
            scores=len(windows) * config.num_attention_heads * scores,
            values=len(windows) * config.num_attention_heads * values,
            windows=windows,
            hidden=config.hidden_size,
            vocabulary=output.weight.shape[0],
        )


@dataclass(frozen=True)
class _Matrix:
    """`active` weights of a matrix, or of a layer's experts, that a token meets."""

    name: str
    active: int
    first: bool = False
    adapter: bool = False
    of_experts: bool = False


def experts_of(config: Any) -> int | None:
    """Experts in a layer of a mixture, or None for a dense model."""
    return _named(config, _EXPERTS)


def experts_a_token(config: Any) -> int:
    """Experts that a token is sent to; raises NoFormula where the configuration does not say."""
    number = _named(config, _EXPERTS_A_TOKEN)
    if number is None:
        raise NoFormula("no formula: the configuration does not say how many experts a token is sent to")
    return number


def _named(config: Any, names: tuple[str, ...]) -> int | None:
    values = (getattr(config, name, None) for name in names)
    return next((value for value in values if isinstance(value, int) and value > 0), None)


def _matrices(model: Any, config: Any, head: set[Any]) -> Iterator[_Matrix]:
    """Every matrix but the embeddings and the head."""
    import torch
    from transformers.pytorch_utils import Conv1D

    enters = _reads_embeddings(config)
    for name, module in model.named_modules():
        first = bool(_FIRST_BLOCK.search(name) and enters.search(name))
        if module in head or isinstance(module, torch.nn.Embedding):
            continue
        if type(module).__name__ == "ParamWrapper":
            raise NoFormula(f"no formula for adapters that are added to experts' weights ({name})")
        if "lora_" in name:
            if name.endswith(".default") and isinstance(module, torch.nn.Linear):
                yield _Matrix(name, _linear_size(module), first, adapter=True)
        elif isinstance(module, torch.nn.Linear):
            yield _Matrix(name, _linear_size(module), first)
        elif isinstance(module, Conv1D):
            yield _Matrix(name, int(module.weight.numel()), first)
        else:
            yield from _bare_matrices(name, module, config)


def _linear_size(module: Any) -> int:
    """By its features: a quantised weight is stored in another shape."""
    return int(module.in_features * module.out_features)


def _bare_matrices(name: str, module: Any, config: Any) -> Iterator[_Matrix]:
    """Parameters that a module multiplies with itself: all experts of a layer in one, and their router."""
    experts = experts_of(config)
    for own, parameter in module.named_parameters(recurse=False):
        shape = tuple(parameter.shape)
        if len(shape) < 2 or own.endswith("bias"):
            continue
        if experts is None or shape[0] != experts or len(shape) > 3:
            raise NoFormula(f"no formula for a {type(module).__name__} ({name})")
        if len(shape) == 2:
            yield _Matrix(f"{name}.{own}", math.prod(shape))
        else:
            active = math.prod(shape[1:]) * experts_a_token(config)
            yield _Matrix(f"{name}.{own}", active, of_experts=True)


def _reads_embeddings(config: Any) -> re.Pattern[str]:
    """Names of matrices that read the input of a block, after a norm."""
    parallel = config.model_type in _PARALLEL_FAMILIES or any(
        getattr(config, flag, False) for flag in ("use_parallel_residual", "parallel_attn")
    )
    names = f"{_READS_THE_BLOCKS_INPUT}|{_ENTERS_MLP}" if parallel else _READS_THE_BLOCKS_INPUT
    return re.compile(rf"\.({names})\b")


def _last(model: Any, weights: list[_Matrix]) -> int:
    """Each block's final matrix, unless a norm or a token's share of an expert reads what it gives."""
    if any(_NORM_AFTER_MLP.search(name) for name, _ in model.named_modules()):
        return 0
    last: dict[str, _Matrix] = {}
    for matrix in weights:
        if block := _BLOCK.search(matrix.name):
            last[block[0]] = matrix
    weighted = {block[0] for m in weights if m.of_experts and (block := _BLOCK.search(m.name))}
    return sum(m.active for block, m in last.items() if block not in weighted or ".shared_experts." in m.name)


def _windows(config: Any) -> tuple[int | None, ...]:
    """The attending layers' windows."""
    layers: int = config.num_hidden_layers
    window: int | None = getattr(config, "sliding_window", None)
    if not getattr(config, "use_sliding_window", True):
        window = None
    kinds = getattr(config, "layer_types", None)
    if kinds is None:
        return (window,) * layers
    for kind in kinds:
        if kind not in ATTENDING:
            raise NoFormula(f"no formula for layers of type {kind}")
    return tuple(window if kind == "sliding_attention" else None for kind in kinds)


def _head_widths(config: Any) -> tuple[int, int]:
    """Width of a head's keys and of its values: they differ in latent attention (arXiv 2405.04434, 2.1)."""
    heads = getattr(config, "num_attention_heads", None)
    if not isinstance(heads, int):
        raise NoFormula("no formula for a model whose configuration names no attention heads")
    if getattr(config, "kv_lora_rank", None):
        return config.qk_nope_head_dim + config.qk_rope_head_dim, config.v_head_dim
    width = getattr(config, "head_dim", None) or config.hidden_size // heads
    return width, width
