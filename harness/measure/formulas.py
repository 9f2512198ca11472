"""FLOPs of single operations, by their shapes: what torch's own table lacks or gets wrong.

Torch's table has no in-place products (TRL's fused head accumulates with them), no matrix times vector, no
CPU attention, no products of groups (mixtures of experts) and nothing of other libraries; its formulas of
addmm and bmm raise where the dispatcher gives an output dtype by position. Attention counts all scores,
causal, windowed or not, as torch's own formulas do: two products forward, five backward, of which one
recomputes the scores (Dao 2023, arXiv 2307.08691, algorithm 2).
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import Any

Formula = Callable[..., int]
_FLASH_ATTENTION = re.compile(r"flash_?attn")
_ATTENTION = re.compile(r"^_?(flash_attn_)?(varlen_)?(fwd|bwd|forward|backward)(_v\d)?$")


def products() -> dict[Any, Formula]:
    """Formulas over shapes, by operation."""
    import torch

    aten = torch.ops.aten
    plain = ("mm", "bmm", "mv", "dot", "_scaled_mm")
    adding = ("addmm", "addmm_", "baddbmm", "baddbmm_", "addbmm", "addbmm_", "addmv", "addmv_")
    forward = ("flash", "efficient", "cudnn", "flash_{}_for_cpu", "fused_{}_overrideable")
    named: dict[str, Formula] = {
        **dict.fromkeys(plain, _product),
        **dict.fromkeys((*adding, "_addmm_activation"), _added),
        **dict.fromkeys(("_grouped_mm", "_scaled_grouped_mm"), _grouped),
        "linalg_solve_triangular": _solved,
    }
    for kind in forward:
        middle = kind.format("attention") if "{}" in kind else f"{kind}_attention"
        named[f"_scaled_dot_product_{middle}"] = _attention_forward
        named[f"_scaled_dot_product_{middle}_backward"] = _attention_backward
    return {getattr(aten, name): formula for name, formula in named.items() if hasattr(aten, name)}


class FlopFormulas(dict[Any, Any]):
    """A counter's table that finds operations of other libraries by their names when they first run.

    Such a library may be loaded, and its namespace made up, in the middle of a step (kernels of the hub).
    """

    def __contains__(self, operation: object) -> bool:
        if super().__contains__(operation):
            return True
        formula = _foreign(operation) if hasattr(operation, "overloads") else None
        if formula is not None:
            self[operation] = formula
        return formula is not None


def _foreign(packet: Any) -> Formula | None:
    namespace, _, name = str(packet).partition(".")
    if _FLASH_ATTENTION.search(namespace) and _ATTENTION.match(name):
        return _flash_library(packet)
    if namespace == "transformers" and name == "grouped_mm_fallback":
        return lambda a, b, offsets, **_: _grouped(a.shape, b.shape)
    if namespace == "transformers" and name == "grouped_mm_fallback_backward":
        return lambda a, b, offsets, gradient, **_: 2 * _grouped(a.shape, b.shape)
    return None


def _product(a: Any, b: Any, *_: Any, **__: Any) -> int:
    """(..., m, k) @ (..., k, n) or @ (k,): 2mkn for each matrix of a batch."""
    columns = b[-1] if len(b) > 1 else 1
    return int(2 * columns * math.prod(a))


def _added(_: Any, a: Any, b: Any, *__: Any, **___: Any) -> int:
    return _product(a, b)


def _grouped(a: Any, b: Any, *_: Any, **__: Any) -> int:
    """Products of groups: each row of `a` meets one matrix of `b`, or the groups' rows are contracted.

    (m, k) x (g, k, n), (g, m, k) x (k, n), (m, k) x (k, n) with groups along k, (g, m, k) x (g, k, n).
    """
    return int(2 * math.prod(a) * b[-1])


def _solved(a: Any, b: Any, *_: Any, **__: Any) -> int:
    """A triangle (..., n, n) against n rows of `b`, or n columns: n * n for each of the others."""
    return int(math.prod(b) * a[-1])


def _attention_forward(query: Any, key: Any, value: Any, *_: Any, **__: Any) -> int:
    batch, heads, queries, width = query
    return int(2 * batch * heads * queries * key[-2] * (width + value[-1]))


def _attention_backward(_: Any, query: Any, key: Any, value: Any, *__: Any, **___: Any) -> int:
    batch, heads, queries, width = query
    return int(2 * batch * heads * queries * key[-2] * (3 * width + 2 * value[-1]))


def _flash_library(packet: Any) -> Formula | None:
    """The formula of a FlashAttention library's operation, which reads its arguments by name.

    Queries are (batch, length, heads, width), or with `cu_seqlens_q` (tokens, heads, width) of sequences that
    stand one after another. None where it names them otherwise.
    """
    names = [argument.name for argument in getattr(packet, packet.overloads()[0])._schema.arguments]
    if not {"q", "k", "v"} <= set(names):
        return None
    backward = "dout" in names

    def formula(*args: Any, out_val: Any = None, **kwargs: Any) -> int:
        given = {**dict(zip(names, args, strict=False)), **kwargs}
        query, key, value = (given[name] for name in ("q", "k", "v"))
        width, heads = query.shape[-1], query.shape[-2]
        widths = 3 * width + 2 * value.shape[-1] if backward else width + value.shape[-1]
        return int(2 * heads * widths * _scores(given, query, key))

    return formula


def _scores(given: dict[str, Any], query: Any, key: Any) -> int:
    """Pairs of a query and a key, over all sequences."""
    queries, keys = given.get("cu_seqlens_q"), given.get("cu_seqlens_k")
    if queries is None:
        return int(query.shape[0] * query.shape[1] * key.shape[1])
    lengths = zip(queries.diff().tolist(), (queries if keys is None else keys).diff().tolist(), strict=True)
    return int(sum(a * b for a, b in lengths))
