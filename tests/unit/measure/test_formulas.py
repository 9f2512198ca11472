"""Formulas by shape: groups of an expert layer, attention kernels of GPUs and of other libraries."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import library as operators

from harness.measure.counting import count

S, K, N, EXPERTS = 12, 8, 16, 3
BATCH, LENGTH, HEADS, KEY_HEADS, WIDTH = 2, 16, 4, 2, 8
ONE_PRODUCT = 2 * BATCH * HEADS * LENGTH * LENGTH * WIDTH


def test_each_row_of_a_group_meets_one_matrix_forward_and_twice_backward() -> None:
    rows = torch.randn(S, K, requires_grad=True)
    weights = torch.randn(EXPERTS, K, N, requires_grad=True)
    ends = torch.tensor([4, 4, S], dtype=torch.int32)
    forward = count(lambda: torch._grouped_mm(rows, weights, offs=ends))
    assert (forward.total, forward.unknown_ops) == (2 * S * K * N, ())
    both = count(lambda: torch._grouped_mm(rows, weights, offs=ends).square().sum().backward())
    assert (both.total, both.unknown_ops) == (3 * 2 * S * K * N, ())


def test_groups_as_the_fallback_of_transformers_multiplies_them() -> None:
    import transformers.integrations.moe  # noqa: F401

    rows = torch.randn(S, K, requires_grad=True)
    weights = torch.randn(EXPERTS, K, N, requires_grad=True)
    ends = torch.tensor([4, 4, S], dtype=torch.int32)
    product = torch.ops.transformers.grouped_mm_fallback
    counted = count(lambda: product(rows, weights, ends).square().sum().backward())
    assert (counted.total, counted.unknown_ops) == (3 * 2 * S * K * N, ())


def test_a_triangle_is_solved_for_each_column() -> None:
    triangle, columns = torch.eye(5).expand(3, 5, 5), torch.ones(3, 5, 7)
    counted = count(lambda: torch.linalg.solve_triangular(triangle, columns, upper=False))
    assert (counted.total, counted.unknown_ops) == (3 * 5 * 5 * 7, ())


def on_meta(*shape: int, dtype: torch.dtype = torch.bfloat16) -> torch.Tensor:
    return torch.empty(*shape, dtype=dtype, device="meta")


@pytest.mark.parametrize("kind", ["flash", "efficient", "cudnn"])
def test_attention_of_gpus_with_fewer_key_heads(kind: str) -> None:
    """Counted by torch's table or by ours, it is two products of every query head with every key."""
    query = on_meta(BATCH, HEADS, LENGTH, WIDTH)
    key = on_meta(BATCH, KEY_HEADS if kind != "efficient" else HEADS, LENGTH, WIDTH)
    more: dict[str, tuple[Any, ...]] = {"flash": (), "efficient": (None, True), "cudnn": (None, True)}
    attend = getattr(torch.ops.aten, f"_scaled_dot_product_{kind}_attention")
    counted = count(lambda: attend(query, key, key, *more[kind]))
    assert (counted.total, counted.unknown_ops) == (2 * ONE_PRODUCT, ())


def test_fused_backward_of_a_gpu_makes_five_products() -> None:
    query = on_meta(BATCH, HEADS, LENGTH, WIDTH)
    logsumexp, seed = on_meta(BATCH, HEADS, LENGTH, dtype=torch.float32), on_meta(2, dtype=torch.int64)
    attend = torch.ops.aten._scaled_dot_product_flash_attention_backward
    sizes = (None, None, LENGTH, LENGTH, 0.0, True, seed, seed)
    counted = count(lambda: attend(query, query, query, query, query, logsumexp, *sizes))
    assert counted.total == 5 * ONE_PRODUCT


FLASH_ATTENTION = {
    "_flash_attn_forward": "Tensor q, Tensor k, Tensor v, float dropout_p, float scale, bool causal",
    "_flash_attn_backward": "Tensor dout, Tensor q, Tensor k, Tensor v, Tensor out, Tensor lse, bool causal",
    "_flash_attn_varlen_forward": "Tensor q, Tensor k, Tensor v, Tensor cu_seqlens_q, Tensor cu_seqlens_k, "
    "int max_seqlen_q, int max_seqlen_k, bool causal",
    "varlen_bwd": "Tensor dout, Tensor q, Tensor k, Tensor v, Tensor out, Tensor cu_seqlens_q, "
    "Tensor cu_seqlens_k",
    "fwd_with_rotary": "Tensor q, Tensor k, Tensor v",
}


@pytest.fixture(params=["flash_attn", "flashattn", "flash_attn_3", "_vllm_flash_attn3_abc123"])
def flash_library(request: Any) -> Iterator[Any]:
    """A library that registers operations as FlashAttention's do, under each of their namespaces."""
    namespace = f"{request.param}_of_orpo_test"
    with operators._scoped_library(namespace, "DEF") as library:
        for name, arguments in FLASH_ATTENTION.items():
            library.define(f"{name}({arguments}) -> Tensor")
            first = 1 if "bwd" in name or "backward" in name else 0
            library.impl(name, lambda *args, first=first: torch.empty_like(args[first]), "CPU")
        yield getattr(torch.ops, namespace)


def test_flash_attention_of_a_library_counts_as_its_fused_kernels_do(flash_library: Any) -> None:
    query, key = torch.ones(BATCH, LENGTH, HEADS, WIDTH), torch.ones(BATCH, LENGTH, KEY_HEADS, WIDTH)
    forward = count(lambda: flash_library._flash_attn_forward(query, key, key, 0.0, 1.0, True))
    assert (forward.total, forward.unknown_ops) == (2 * ONE_PRODUCT, ())
    backward = count(lambda: flash_library._flash_attn_backward(query, query, key, key, query, query, True))
    assert (backward.total, backward.unknown_ops) == (5 * ONE_PRODUCT, ())


def test_sequences_of_their_own_lengths_attend_within_themselves(flash_library: Any) -> None:
    lengths = (5, 11)
    tokens, ends = torch.ones(sum(lengths), HEADS, WIDTH), torch.tensor([0, 5, 16], dtype=torch.int32)
    scores = 2 * HEADS * WIDTH * sum(n * n for n in lengths)
    run = flash_library._flash_attn_varlen_forward
    counted = count(lambda: run(tokens, tokens, tokens, ends, ends, 11, 11, True))
    assert (counted.total, counted.unknown_ops) == (2 * scores, ())
    run = flash_library.varlen_bwd
    assert count(lambda: run(tokens, tokens, tokens, tokens, tokens, ends, ends)).total == 5 * scores


def test_another_operation_of_such_a_library_is_unknown(flash_library: Any) -> None:
    counted = count(lambda: flash_library.fwd_with_rotary(*[torch.ones(1, 2, 2, 8)] * 3))
    assert counted.total == 0
    assert len(counted.unknown_ops) == 1
