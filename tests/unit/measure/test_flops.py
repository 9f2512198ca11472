"""Counted FLOPs: operations by hand, totals by buckets."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from harness.measure.counting import count, is_unknown
from harness.measure.flops import COUNT_EACH_UP_TO, Bucket, FlopModel, FlopTotal, solve


class Bf16Kernels(TorchDispatchMode):
    """Stands for the CUDA kernels that take an output dtype, which a CPU does not have."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        return kwargs["out"] if "dtype" in str(func) else func(*args, **kwargs)


def test_in_place_addmm_is_counted() -> None:
    total, a, b = torch.zeros(3, 5), torch.ones(3, 4), torch.ones(4, 5)
    assert count(lambda: total.addmm_(a, b)).total == 2 * 3 * 4 * 5


def test_addmm_into_float32_is_counted() -> None:
    """TRL's fused head accumulates so in its backward pass, in bfloat16 on CUDA."""
    total = torch.zeros(3, 5)
    a, b = torch.ones(3, 4, dtype=torch.bfloat16), torch.ones(4, 5, dtype=torch.bfloat16)
    with Bf16Kernels():
        counted = count(lambda: torch.addmm(total, a, b, out_dtype=torch.float32, out=total))
    assert (counted.total, counted.by_op) == (2 * 3 * 4 * 5, {"aten.addmm": 120})


def test_batched_and_vector_products() -> None:
    batch, a, b = torch.zeros(7, 3, 5), torch.ones(7, 3, 4), torch.ones(7, 4, 5)
    assert count(lambda: batch.baddbmm_(a, b)).total == 7 * 2 * 3 * 4 * 5
    assert count(lambda: torch.bmm(a, b)).total == 7 * 2 * 3 * 4 * 5
    assert count(lambda: torch.addbmm(batch[0], a, b)).total == 7 * 2 * 3 * 4 * 5
    assert count(lambda: torch.mv(a[0], b[0, :, 0])).total == 2 * 3 * 4
    assert count(lambda: torch.dot(a[0, 0], a[0, 1])).total == 2 * 4


def test_product_into_a_given_tile_is_counted() -> None:
    tile = torch.empty(3, 5)
    assert count(lambda: torch.mm(torch.ones(3, 4), torch.ones(4, 5), out=tile)).total == 120


def attention_leaves(queries: int, keys: int) -> list[torch.Tensor]:
    sizes = ((queries, 8), (keys, 8), (keys, 8))
    return [torch.randn(1, 2, *size, requires_grad=True) for size in sizes]


@pytest.mark.parametrize(("queries", "keys"), [(16, 16), (4, 16)])
def test_cpu_attention_counts_what_eager_counts_but_for_flashs_recompute(queries: int, keys: int) -> None:
    q, k, v = attention_leaves(queries, keys)
    one = 2 * 1 * 2 * queries * keys * 8
    fused = count(lambda: torch.nn.functional.scaled_dot_product_attention(q, k, v).sum().backward())
    eager = count(lambda: ((q @ k.transpose(-1, -2)).softmax(-1) @ v).sum().backward())
    assert fused.total == (2 + 5) * one
    assert eager.total == (2 + 4) * one
    assert fused.unknown_ops == eager.unknown_ops == ()


def test_causal_attention_counts_all_scores() -> None:
    q, k, v = attention_leaves(16, 16)
    attend = torch.nn.functional.scaled_dot_product_attention
    masked = count(lambda: attend(q, k, v, is_causal=True).sum().backward())
    assert masked.total == count(lambda: attend(q, k, v).sum().backward()).total


def test_a_custom_kernel_of_unknown_cost_is_listed() -> None:
    from torch import library

    @library.custom_op("orpo_harness_test::mystery", mutates_args=())
    def mystery(x: torch.Tensor) -> torch.Tensor:
        return x.clone()

    assert count(lambda: mystery(torch.ones(2))).unknown_ops == ("orpo_harness_test.mystery",)


def test_torchs_own_products_without_a_formula_are_listed() -> None:
    a = torch.eye(3)
    assert count(lambda: torch.linalg.cholesky(a)).unknown_ops == ("aten.linalg_cholesky_ex",)


@pytest.mark.parametrize(
    "name", ["lgamma", "movedim", "upsample_bilinear2d", "linalg_vector_norm", "_to_copy"]
)
def test_operations_without_products_are_not_listed(name: str) -> None:
    assert not is_unknown(f"aten.{name}")


@pytest.mark.parametrize("name", ["_grouped_mm", "_cudnn_rnn", "mkldnn_linear", "_cdist_forward", "_fft_r2c"])
def test_operations_with_products_are_listed(name: str) -> None:
    assert is_unknown(f"aten.{name}")


def test_linear_equations_are_solved_in_fractions() -> None:
    """0x + 2y = 1 and 3x + y = 1: the first pivot is zero."""
    assert solve([(0, 2), (3, 1)], [1, 1]) == [Fraction(1, 6), Fraction(1, 2)]


def total_flops(buckets: dict[Bucket, int], step: Callable[[Bucket], object]) -> FlopTotal:
    return FlopModel(buckets, step).total(buckets)


def polynomial(bucket: Bucket) -> None:
    """2 * (6bt + 3bt^2 + 7 scored + 5b + 2t + 11) FLOPs."""
    b, t = bucket.batch, bucket.length
    for rows, inner, columns in (
        (b * t, 2, 3),
        (b * t, t, 3),
        (bucket.scored, 7, 1),
        (b, 5, 1),
        (t, 2, 1),
        (1, 11, 1),
    ):
        torch.ones(rows, inner) @ torch.ones(inner, columns)


def by_hand(bucket: Bucket) -> int:
    b, t = bucket.batch, bucket.length
    return 2 * (6 * b * t + 3 * b * t**2 + 7 * bucket.scored + 5 * b + 2 * t + 11)


def test_fitted_total_equals_the_sum_of_every_bucket_to_the_last_flop() -> None:
    buckets = {Bucket(b, t, 3 + t): t for t in range(10, 40) for b in (2, 3, 8)}
    total = total_flops(buckets, polynomial)
    assert total.total == sum(by_hand(b) * times for b, times in buckets.items())
    assert (total.how, total.counted_buckets) == ("fit", 10)


def test_few_buckets_are_counted_each() -> None:
    buckets = {Bucket(2, t, 3): 5 for t in range(10, 10 + COUNT_EACH_UP_TO)}
    total = total_flops(buckets, polynomial)
    assert (total.how, total.counted_buckets) == ("each", len(buckets))
    assert total.total == sum(5 * by_hand(b) for b in buckets)


def test_no_buckets_cost_nothing() -> None:
    assert total_flops({}, polynomial).total == 0


def test_one_flop_off_the_polynomial_makes_every_bucket_counted() -> None:
    """The longest bucket costs a single product more than the polynomial says."""
    longest = 39

    def odd(bucket: Bucket) -> None:
        polynomial(bucket)
        if bucket.length == longest:
            torch.ones(1, 1) @ torch.ones(1, 1)

    buckets = {Bucket(2, t, 4): 1 for t in range(15, longest + 1)}
    total = total_flops(buckets, odd)
    assert total.how == "each"
    assert total.total == sum(by_hand(b) for b in buckets) + 2


def test_buckets_that_were_counted_are_not_counted_again() -> None:
    ran: list[Bucket] = []

    def cubic(bucket: Bucket) -> None:
        ran.append(bucket)
        torch.ones(bucket.length**3, 1) @ torch.ones(1, 1)

    total_flops({Bucket(2, t, 4): 1 for t in range(15, 40)}, cubic)
    assert len(ran) == len(set(ran))


def test_a_second_run_counts_only_what_is_larger_than_all_that_was_counted() -> None:
    """Counts of another seed's run stand for its smallest and middle buckets."""
    first = FlopModel({Bucket(2, t, 4): 1 for t in range(15, 40)}, polynomial)
    ran: list[Bucket] = []

    def noted(bucket: Bucket) -> None:
        ran.append(bucket)
        polynomial(bucket)

    equal = {Bucket(2, t, 5): 1 for t in range(16, 39)}
    assert FlopModel(equal, noted, first.counts).total(equal).total == sum(by_hand(b) for b in equal)
    assert ran == []
    larger = {**equal, Bucket(2, 50, 5): 1}
    assert FlopModel(larger, noted, first.counts).total(larger).total == sum(by_hand(b) for b in larger)
    assert ran == [Bucket(2, 50, 5)]


def test_a_known_count_that_the_polynomial_does_not_give_makes_every_bucket_counted() -> None:
    buckets = {Bucket(2, t, 4): 1 for t in range(15, 40)}
    first = FlopModel(buckets, polynomial)
    odd = replace(first.counts[Bucket(2, 27, 4)], total=1)
    again = FlopModel(buckets, polynomial, {**first.counts, Bucket(2, 27, 4): odd})
    assert again.how == "each"
