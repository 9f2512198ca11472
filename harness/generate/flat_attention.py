"""Attention of a flat row: its tokens are put into padded sequences, attended, and taken out again.

It is transformers' own fused attention, causal and without a mask, on what it saw without flat rows. Whoever
calls a model without a `flat_row` gets that attention as it was. To put in and to take out is a look-up by
rows both forward and backward, since nothing but a shared prompt stands in two places.

A kernel for sequences of different lengths (FlashAttention's `varlen`) would take its place here: it needs
the tokens of `FlatRow.token_at` without those of padding, one sequence after another.
"""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import Iterator
from typing import Any

import torch
from transformers import AttentionInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward

from harness.generate.flat import FlatRow

OWN = "sdpa"
FLAT = "sdpa_of_flat_rows"
"""No function of transformers' makes masks for this name, so that none is made."""
FULL, WINDOW = "full_attention", "sliding_attention"


class _Put(torch.autograd.Function):
    """(tokens, ...) into (places, ...)."""

    @staticmethod
    def forward(ctx: Any, values: torch.Tensor, row: FlatRow, twice: bool) -> torch.Tensor:
        ctx.row, ctx.twice = row, twice
        return values.index_select(0, row.token_at)

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> Any:
        row: FlatRow = ctx.row
        gradient = gradients[0]
        total = gradient.index_select(0, row.first)
        if ctx.twice and len(row.second):
            total[: len(row.second)] += gradient.index_select(0, row.second)
        return total, None, None


class _Take(torch.autograd.Function):
    """(places, ...) out to (tokens, ...)."""

    @staticmethod
    def forward(ctx: Any, values: torch.Tensor, row: FlatRow) -> torch.Tensor:
        ctx.row = row
        return values.index_select(0, row.first)

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> Any:
        return gradients[0].index_select(0, ctx.row.owner), None


def attention(
    module: Any,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    flat_row: FlatRow | None = None,
    **settings: Any,
) -> tuple[torch.Tensor, None]:
    """As transformers' attention functions: (1, heads, tokens, width) in, (1, tokens, heads, width) out."""
    # A row of one sequence is that sequence, with its padding at the end, where nothing looks.
    if flat_row is None or flat_row.sequences == 1:
        plain: tuple[torch.Tensor, None] = sdpa_attention_forward(
            module, query, key, value, attention_mask, **settings
        )
        return plain
    # A prompt's second copy is asked nothing that is read, so its queries have no gradient.
    padded = [
        _put(each, flat_row, twice=twice) for each, twice in ((query, False), (key, True), (value, True))
    ]
    output, _ = sdpa_attention_forward(module, *padded, None, **settings)
    return _Take.apply(output.flatten(0, 1), flat_row)[None], None


def _put(values: torch.Tensor, row: FlatRow, *, twice: bool) -> torch.Tensor:
    """(1, heads, tokens, width) as (sequences, heads, length, width)."""
    placed: torch.Tensor = _Put.apply(values[0].transpose(0, 1), row, twice)
    return placed.view(row.sequences, row.length, *placed.shape[1:]).transpose(1, 2)


AttentionInterface.register(FLAT, attention)


def attention_of(model: Any) -> str:
    """The name of a model's attention as it is set, flat rows or not."""
    name: str = model.config._attn_implementation
    return OWN if name == FLAT else name


def use_flat_attention(inner: Any) -> None:
    """Let a causal LM take flat rows. From here on it makes no masks, so it may be given none."""
    inner.config._attn_implementation = FLAT


def use_padded_attention(inner: Any) -> None:
    """Give a causal LM the attention that it had."""
    inner.config._attn_implementation = attention_of(inner)


@contextlib.contextmanager
def own_attention(inner: Any) -> Iterator[None]:
    """Within it the model attends as it did before, masks included."""
    name = inner.config._attn_implementation
    use_padded_attention(inner)
    try:
        yield
    finally:
        inner.config._attn_implementation = name


def why_not_flat(inner: Any, longest: int) -> str | None:
    """Why a causal LM cannot take flat rows of sequences of up to `longest` tokens, by what it says of
    itself; None where it can."""
    config, name = inner.config.get_text_config(), attention_of(inner)
    if name != OWN:
        return f"its attention is {name}"
    if not getattr(inner, "_supports_attention_backend", False):
        return "its attention is no exchangeable function"
    if kinds := set(getattr(config, "layer_types", None) or ()) - {FULL, WINDOW}:
        return f"it has layers of {', '.join(sorted(kinds))}"
    window = getattr(config, "sliding_window", None) if getattr(config, "use_sliding_window", True) else None
    if window is not None and window < longest:
        return f"its attention has a window of {window} tokens"
    if getattr(config, "attn_logit_softcapping", None):
        return "its attention caps scores"
    if any(hasattr(module, "A_log") or hasattr(module, "conv1d") for module in inner.modules()):
        return "it has layers that are no attention"
    takes = inspect.signature(inner.base_model.forward).parameters
    if "position_ids" not in takes or not any(one.kind is one.VAR_KEYWORD for one in takes.values()):
        return "it is not told positions"
    return None
