"""FLOPs of training and scoring passes, counted by torch's FlopCounterMode.

Counting runs outside the timed window: the counter slows a step by about 16%. A run's total is
the sum over its buckets (batch, length, scored positions) of the count of one step times how
often it ran. A step's FLOPs are a polynomial in these three numbers, so a few small counts
determine it; the real buckets then check it, and one that disagrees makes us count them all.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    import numpy as np

COUNT_EACH_UP_TO = 4
_MATMUL_NAMES = ("mm", "mv", "matmul", "linear", "conv", "attention", "einsum", "dot_product")
_OWN_NAMESPACES = ("aten", "prim", "prims", "_c10d_functional", "profiler")


@dataclass(frozen=True, order=True)
class Bucket:
    """`batch` sequences in one forward, padded to `length` tokens, `scored` positions in all."""

    batch: int
    length: int
    scored: int


@dataclass(frozen=True)
class FlopCount:
    """One counted call. `unknown_ops` are operations whose cost nobody told the counter."""

    total: int
    unknown_ops: tuple[str, ...]
    by_op: dict[str, int]


@dataclass(frozen=True)
class FlopTotal:
    """A run's total. `how` is `each` (every bucket counted) or `fit` (polynomial, checked)."""

    total: int
    unknown_ops: tuple[str, ...]
    counted_buckets: int
    how: Literal["each", "fit"]


def count(run: Callable[[], object]) -> FlopCount:
    """FLOPs of `run()`, with the operations that torch's own table lacks."""
    from torch.utils.flop_counter import FlopCounterMode

    recorder, seen = _recorder()
    with recorder, FlopCounterMode(display=False, custom_mapping=_extra_formulas()) as counter:
        run()
    counted = set(counter.flop_registry)
    by_op = {str(op): int(n) for op, n in counter.get_flop_counts().get("Global", {}).items()}
    unknown = sorted({str(op) for op in seen if _is_unknown(op, counted)})
    return FlopCount(int(counter.get_total_flops()), tuple(unknown), by_op)


def total_flops(buckets: Mapping[Bucket, int], step: Callable[[Bucket], object]) -> FlopTotal:
    """FLOPs of all steps: `buckets` says how often each ran, `step(bucket)` runs one.

    Batches are even, since a pair is two sequences; so are those of the fit.
    """
    if len(buckets) <= COUNT_EACH_UP_TO:
        return _count_each(buckets, step)
    import numpy as np

    fit_on = [
        Bucket(b, t, s)
        for b, t, s in ((2, 8, 4), (2, 16, 4), (2, 16, 10), (4, 8, 8), (4, 16, 12), (2, 24, 6), (6, 8, 12))
    ]
    counts = [count(lambda b=b: step(b)) for b in fit_on]  # type: ignore[misc]
    terms = np.array([_terms(b) for b in fit_on], dtype=float)
    scale = terms.max(axis=0)
    coefficients = (
        np.linalg.lstsq(terms / scale, np.array([c.total for c in counts], dtype=float), rcond=None)[0]
        / scale
    )
    ordered = sorted(buckets)
    checks = {ordered[0], ordered[len(ordered) // 2]}
    for bucket in checks:
        checked = count(lambda b=bucket: step(b))  # type: ignore[misc]
        counts.append(checked)
        if abs(_predict(coefficients, bucket) - checked.total) > 1e-6 * checked.total:
            return _count_each(buckets, step)
    total = sum(_predict(coefficients, bucket) * n for bucket, n in buckets.items())
    unknown = {op for c in counts for op in c.unknown_ops}
    return FlopTotal(round(total), tuple(sorted(unknown)), len(counts), "fit")


def _terms(bucket: Bucket) -> tuple[int, ...]:
    b, t = bucket.batch, bucket.length
    return (b * t, b * t * t, bucket.scored, b)


def _predict(coefficients: np.ndarray[Any, Any], bucket: Bucket) -> float:
    return float(sum(c * t for c, t in zip(coefficients, _terms(bucket), strict=True)))


def _count_each(buckets: Mapping[Bucket, int], step: Callable[[Bucket], object]) -> FlopTotal:
    total, unknown = 0, set()
    for bucket, times in buckets.items():
        counted = count(lambda b=bucket: step(b))  # type: ignore[misc]
        total += counted.total * times
        unknown |= set(counted.unknown_ops)
    return FlopTotal(total, tuple(sorted(unknown)), len(buckets), "each")


def _extra_formulas() -> dict[Any, Callable[..., int]]:
    """Operations that torch 2.13's table counts as 0: TRL's fused head, and CPU attention."""
    import torch

    aten = torch.ops.aten

    def addmm(_: Any, a: Any, b: Any, **__: Any) -> int:
        return int(2 * a[0] * a[1] * b[1])

    def forward(query: Any, key: Any, value: Any, *_: Any, **__: Any) -> int:
        return _attention(query, key, matmuls=2)

    def backward(grad: Any, query: Any, key: Any, value: Any, *_: Any, **__: Any) -> int:
        return _attention(query, key, matmuls=5)

    return {
        aten.addmm_: addmm,
        aten._scaled_dot_product_flash_attention_for_cpu: forward,
        aten._scaled_dot_product_flash_attention_for_cpu_backward: backward,
    }


def _attention(query: Any, key: Any, *, matmuls: int) -> int:
    """2 matmuls forward; 5 backward, one of which recomputes the scores (FlashAttention)."""
    batch, heads, queries, width = query
    return int(2 * matmuls * batch * heads * queries * key[-2] * width)


def _recorder() -> tuple[Any, set[Any]]:
    from torch.utils._python_dispatch import TorchDispatchMode

    seen: set[Any] = set()

    class Recorder(TorchDispatchMode):
        def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            seen.add(func._overloadpacket)
            return func(*args, **(kwargs or {}))

    return Recorder(), seen


def _is_unknown(op: Any, counted: set[Any]) -> bool:
    if op in counted:
        return False
    namespace, _, name = str(op).partition(".")
    if namespace not in _OWN_NAMESPACES:
        return True
    return any(hint in name for hint in _MATMUL_NAMES)
