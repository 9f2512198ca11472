"""FLOPs of one call, by torch's FlopCounterMode: on real tensors, or on their shapes alone.

Shapes alone (torch's FakeTensorMode) take no kernel and no memory for a step, so that a step of any size is
counted in the time that Python takes to walk it. That walk is five times as long as one over real tensors, so
that a small step runs for real; so does every step where shapes depend on values, or kernels are such as
nobody described to torch.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from harness.measure.formulas import FlopFormulas, products

_OWN_NAMESPACES = ("aten", "prim", "prims", "c10d", "_c10d_functional", "profiler")
_HAS_PRODUCTS = re.compile(
    r"(^|_)(\w*mm|add\w*mv|mv|matmul|linear|bilinear|trilinear|linalg|conv\d*d?|convolution|einsum|attention"
    r"|dot|vdot|inner|cdist|lstm|gru|rnn|fft)(_|$)"
)
SMALL = 10**9
"""Weights times tokens up to which a step runs for real: some 0.2 s on one core of a CPU."""
_NO_PRODUCTS = ("linalg_vector_norm", "linalg__powsum", "linalg_diagonal", "_linalg_check_errors")


@dataclass(frozen=True)
class FlopCount:
    """One counted call. `unknown_ops` are operations whose cost nobody told the counter.

    Kernels that Python launches without torch's dispatcher (Triton's own launcher) are invisible
    here. Those of TRL's fused head hold no matrix product, so they cost nothing in this unit.
    """

    total: int
    unknown_ops: tuple[str, ...]
    by_op: dict[str, int]


def count(run: Callable[[], object]) -> FlopCount:
    """FLOPs of `run()`, with the operations that torch's own table lacks."""
    from torch.utils.flop_counter import FlopCounterMode

    recorder, seen = _recorder()
    counter = FlopCounterMode(display=False, custom_mapping=products())
    counter.flop_registry = FlopFormulas(counter.flop_registry)
    with recorder, counter:
        run()
    by_op = {str(op): int(n) for op, n in counter.get_flop_counts().get("Global", {}).items()}
    unknown = sorted({str(op) for op in seen if op not in counter.flop_registry and is_unknown(str(op))})
    return FlopCount(int(counter.get_total_flops()), tuple(unknown), by_op)


class StepCounter:
    """Counts steps of `models`: small ones for real, others on shapes alone as long as that can be done.

    `why_real` says why it counts every step for real, None while it does not.
    """

    def __init__(self, models: list[Any], why_real: str | None = None) -> None:
        self._models, self.why_real = models, why_real
        self._weights = sum(p.numel() for model in models for p in model.parameters())

    def by_shapes(self, tokens: int) -> bool:
        """Whether a step of so many tokens is counted on shapes alone."""
        return self.why_real is None and self._weights * tokens > SMALL

    def how(self, tokens: int) -> str:
        """How steps of up to `tokens` are counted."""
        return self.why_real or ("by shapes alone" if self.by_shapes(tokens) else "by real steps")

    def check(self, run: Callable[[], object]) -> FlopCount:
        """Count `run()` both ways, and go on with real steps where the two differ; gives the real count."""
        by_shapes = self._without_values(run)
        really = count(run)
        if by_shapes is not None and by_shapes.total != really.total:
            self.why_real = f"by its shapes a small step has {by_shapes.total} FLOPs and took {really.total}"
        return really

    def __call__(self, run: Callable[[], object], tokens: int) -> FlopCount:
        by_shapes = self._without_values(run) if self.by_shapes(tokens) else None
        return by_shapes or count(run)

    def _without_values(self, run: Callable[[], object]) -> FlopCount | None:
        """The count on shapes alone; None where it cannot be done, which `why_real` then says."""
        try:
            with shapes_only(*self._models):
                return count(run)
        except Exception as error:
            # Whatever stands in the way of counting without values, a real step shows whether it is an
            # error of the step; if so that step raises it.
            self.why_real = f"a step needs values ({type(error).__name__})"
            return None


@contextlib.contextmanager
def shapes_only(*models: Any) -> Iterator[None]:
    """Within it every operation gives a tensor without values, and `models` have weights without them.

    The models' own weights, gradients and buffers are put back afterwards as they were. Experts are
    multiplied pair by pair of token and expert, which costs the same and has a shape that no value decides.
    """
    from torch._subclasses.fake_tensor import FakeTensorMode

    own = [
        (tensors, dict(tensors))
        for model in models
        for module in model.modules()
        for tensors in (module._parameters, module._buffers)
    ]
    with FakeTensorMode(allow_non_fake_inputs=True) as mode, _experts_in_pairs(models):
        try:
            for tensors, known in own:
                tensors.update({n: t if t is None else mode.from_tensor(t) for n, t in known.items()})
            yield
        finally:
            for tensors, known in own:
                tensors.clear()
                tensors.update(known)


@contextlib.contextmanager
def _experts_in_pairs(models: tuple[Any, ...]) -> Iterator[None]:
    configs = [model.config.get_text_config() for model in models if hasattr(model, "config")]
    own = [(config, getattr(config, "_experts_implementation", None)) for config in configs]
    own = [(config, kind) for config, kind in own if kind in ("eager", "grouped_mm")]
    try:
        for config, _ in own:
            config._experts_implementation = "batched_mm"
        yield
    finally:
        for config, kind in own:
            config._experts_implementation = kind


def made_really(make: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """The batch that `make` gives, made with values, and without them within `shapes_only`."""
    import torch
    from torch._guards import detect_fake_mode
    from torch._subclasses.fake_tensor import unset_fake_temporarily

    mode = detect_fake_mode()
    if mode is None:
        return make()
    with unset_fake_temporarily():
        batch = make()
    return {n: mode.from_tensor(v) if isinstance(v, torch.Tensor) else v for n, v in batch.items()}


def is_unknown(name: str) -> bool:
    """Whether an uncounted operation may hold products: any foreign one, and torch's by name."""
    namespace, _, operation = name.partition(".")
    if namespace not in _OWN_NAMESPACES:
        return True
    return bool(_HAS_PRODUCTS.search(operation)) and operation not in _NO_PRODUCTS


def _recorder() -> tuple[Any, set[Any]]:
    from torch.utils._python_dispatch import TorchDispatchMode

    seen: set[Any] = set()

    class Recorder(TorchDispatchMode):
        supports_higher_order_operators = True

        def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            seen.add(getattr(func, "_overloadpacket", func))
            return func(*args, **(kwargs or {}))

    return Recorder(), seen
