"""FLOPs of training and scoring passes, counted by torch's FlopCounterMode.

Counting runs outside the timed window: the counter slows a step by about 16%. A run's total is
the sum over its buckets (batch, length, scored positions) of the count of one step times how
often it ran. A step's FLOPs are a polynomial in these three numbers, so a few small counts
determine it exactly, in fractions; counts of real buckets must then equal it to the last FLOP,
or every bucket is counted.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any, Literal

COUNT_EACH_UP_TO = 12
_OWN_NAMESPACES = ("aten", "prim", "prims", "c10d", "_c10d_functional", "profiler")
_HAS_PRODUCTS = re.compile(
    r"(^|_)(\w*mm|add\w*mv|mv|matmul|linear|bilinear|trilinear|linalg|conv\d*d?|convolution|einsum|attention"
    r"|dot|vdot|inner|cdist|lstm|gru|rnn|fft)(_|$)"
)
_NO_PRODUCTS = ("linalg_vector_norm", "linalg__powsum", "linalg_diagonal", "_linalg_check_errors")


@dataclass(frozen=True, order=True)
class Bucket:
    """`batch` sequences in one forward, padded to `length` tokens, `scored` positions in all."""

    batch: int
    length: int
    scored: int


# Batches are even, as those of pairs are. They determine the six terms of `_terms`.
FIT_ON = tuple(
    Bucket(b, t, s) for b, t, s in ((2, 8, 4), (2, 16, 4), (2, 24, 4), (4, 8, 4), (4, 16, 4), (2, 16, 10))
)
HELD_OUT = Bucket(6, 24, 14)


@dataclass(frozen=True)
class FlopCount:
    """One counted call. `unknown_ops` are operations whose cost nobody told the counter.

    Kernels that Python launches without torch's dispatcher (Triton's own launcher) are invisible
    here. Those of TRL's fused head hold no matrix product, so they cost nothing in this unit.
    """

    total: int
    unknown_ops: tuple[str, ...]
    by_op: dict[str, int]


@dataclass(frozen=True)
class FlopTotal:
    """A run's total. `how` is `each` (every bucket counted) or `fit` (polynomial, exact)."""

    total: int
    unknown_ops: tuple[str, ...]
    counted_buckets: int
    how: Literal["each", "fit"]


def count(run: Callable[[], object]) -> FlopCount:
    """FLOPs of `run()`, with the operations that torch's own table lacks."""
    from torch.utils.flop_counter import FlopCounterMode

    recorder, seen = _recorder()
    with recorder, FlopCounterMode(display=False, custom_mapping=_formulas()) as counter:
        run()
    counted = set(counter.flop_registry)
    by_op = {str(op): int(n) for op, n in counter.get_flop_counts().get("Global", {}).items()}
    unknown = sorted({str(op) for op in seen if op not in counted and is_unknown(str(op))})
    return FlopCount(int(counter.get_total_flops()), tuple(unknown), by_op)


def total_flops(buckets: Mapping[Bucket, int], step: Callable[[Bucket], object]) -> FlopTotal:
    """FLOPs of all steps: `buckets` says how often each ran, `step(bucket)` runs one."""
    return FlopModel(buckets, step).total(buckets)


class FlopModel:
    """FLOPs of any bucket that `step` can run.

    `buckets` are those to expect: few are counted one by one, of many the polynomial is checked
    on the smallest, the middle and the largest. `counted` are counts of the same `step` that are known
    already; new ones are added to it.
    """

    def __init__(
        self,
        buckets: Mapping[Bucket, int],
        step: Callable[[Bucket], object],
        counted: dict[Bucket, FlopCount] | None = None,
    ) -> None:
        self._counts = _Counts(step, {} if counted is None else counted)
        predict = _fitted(buckets, self._counts) if len(buckets) > COUNT_EACH_UP_TO else None
        self._each = predict or self._counts.of
        self.how: Literal["each", "fit"] = "fit" if predict else "each"

    def of(self, bucket: Bucket) -> int:
        """FLOPs of one run of `bucket`."""
        flops = self._each(bucket)
        assert flops == int(flops), "a count is whole"
        return int(flops)

    def total(self, buckets: Mapping[Bucket, int]) -> FlopTotal:
        """FLOPs of all runs."""
        total = sum(self.of(bucket) * times for bucket, times in buckets.items())
        unknown = {op for c in self._counts.done.values() for op in c.unknown_ops}
        return FlopTotal(total, tuple(sorted(unknown)), len(self._counts.done), self.how)


def is_unknown(name: str) -> bool:
    """Whether an uncounted operation may hold products: any foreign one, and torch's by name."""
    namespace, _, operation = name.partition(".")
    if namespace not in _OWN_NAMESPACES:
        return True
    return bool(_HAS_PRODUCTS.search(operation)) and operation not in _NO_PRODUCTS


@dataclass
class _Counts:
    """Counts by bucket, each made once."""

    step: Callable[[Bucket], object]
    done: dict[Bucket, FlopCount] = field(default_factory=dict)

    def of(self, bucket: Bucket) -> int:
        if bucket not in self.done:
            self.done[bucket] = count(lambda: self.step(bucket))
        return self.done[bucket].total


def _fitted(buckets: Mapping[Bucket, int], counts: _Counts) -> Callable[[Bucket], Fraction] | None:
    """The polynomial through FIT_ON, or None where a bucket that it has not seen disagrees."""
    coefficients = solve([_terms(b) for b in FIT_ON], [counts.of(b) for b in FIT_ON])

    def predict(bucket: Bucket) -> Fraction:
        return sum((c * t for c, t in zip(coefficients, _terms(bucket), strict=True)), Fraction())

    by_cost = sorted(buckets, key=lambda b: (b.batch * b.length**2, b.scored))
    checks = (HELD_OUT, by_cost[0], by_cost[len(by_cost) // 2], by_cost[-1])
    return predict if all(predict(b) == counts.of(b) for b in checks) else None


def _terms(bucket: Bucket) -> tuple[int, ...]:
    """Matrices, attention, head, what is done once a sequence, a position (rotary) and a step."""
    b, t = bucket.batch, bucket.length
    return (b * t, b * t * t, bucket.scored, b, t, 1)


def solve(rows: list[tuple[int, ...]], values: list[int]) -> list[Fraction]:
    """x with rows @ x = values, by Gauss-Jordan elimination in fractions; rows must be regular."""
    size = len(rows)
    table = [[Fraction(n) for n in (*row, value)] for row, value in zip(rows, values, strict=True)]
    for column in range(size):
        pivot = next(i for i in range(column, size) if table[i][column])
        table[column], table[pivot] = table[pivot], table[column]
        scale = table[column][column]
        table[column] = [n / scale for n in table[column]]
        for i in range(size):
            if i != column and table[i][column]:
                factor = table[i][column]
                table[i] = [n - factor * p for n, p in zip(table[i], table[column], strict=True)]
    return [row[-1] for row in table]


def _formulas() -> dict[Any, Callable[..., int]]:
    """Formulas over shapes for what torch's table lacks or gets wrong.

    It lacks the in-place forms (TRL's fused head accumulates with them), matrix times vector and
    the CPU's fused attention; its own formulas of addmm and bmm raise when the output's dtype is
    given by position, as the dispatcher does for `torch.addmm(..., out_dtype=...)`.
    """
    import torch

    aten = torch.ops.aten

    def product(a: Any, b: Any, *_: Any, **__: Any) -> int:
        """(..., m, k) @ (..., k, n) or @ (k,): 2mkn for each matrix of a batch."""
        columns = b[-1] if len(b) > 1 else 1
        cost = 2 * columns
        for size in a:
            cost *= int(size)
        return int(cost)

    def added(_: Any, a: Any, b: Any, *__: Any, **___: Any) -> int:
        return product(a, b)

    def forward(query: Any, key: Any, value: Any, *_: Any, **__: Any) -> int:
        return _attention(query, key, query[-1] + value[-1])

    def backward(grad: Any, query: Any, key: Any, value: Any, *_: Any, **__: Any) -> int:
        return _attention(query, key, 3 * query[-1] + 2 * value[-1])

    plain = (aten.mm, aten.bmm, aten.mv, aten.dot)
    adding = (aten.addmm, aten.addmm_, aten.baddbmm, aten.baddbmm_, aten.addbmm, aten.addbmm_)
    return {
        **dict.fromkeys(plain, product),
        **dict.fromkeys((*adding, aten.addmv, aten.addmv_), added),
        aten._scaled_dot_product_flash_attention_for_cpu: forward,
        aten._scaled_dot_product_flash_attention_for_cpu_backward: backward,
    }


def _attention(query: Any, key: Any, widths: int) -> int:
    """Products of queries with keys; `widths` sums the heads' widths over them.

    Two products forward, five backward of which one recomputes the scores (Dao 2023,
    arXiv 2307.08691, algorithm 2). Causal or not, all scores count, as in torch's own formulas.
    """
    batch, heads, queries, _ = query
    return int(2 * batch * heads * queries * key[-2] * widths)


def _recorder() -> tuple[Any, set[Any]]:
    from torch.utils._python_dispatch import TorchDispatchMode

    seen: set[Any] = set()

    class Recorder(TorchDispatchMode):
        supports_higher_order_operators = True

        def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            seen.add(getattr(func, "_overloadpacket", func))
            return func(*args, **(kwargs or {}))

    return Recorder(), seen
