"""How weights are held and products made: one rule for training, references, probes and scoring.

`mixed` holds trained weights in float32 and multiplies in bfloat16 (Micikevicius et al. 2018, arXiv
1710.03740, section 3.1, by autocast). Weights that are not trained need no float32: those that autocast
would round at every product are held rounded, which gives the same products bit for bit.
"""

from __future__ import annotations

import contextlib
import functools
from dataclasses import dataclass
from enum import StrEnum
from types import MethodType
from typing import Any

import torch

from harness.measure import device
from harness.pipeline.model_form import PrecisionName


class PrecisionKind(StrEnum):
    """As in `training.precision`, with `auto` decided."""

    MIXED = "mixed"
    FLOAT32 = "float32"
    STOCHASTIC = "bfloat16_stochastic"
    BFLOAT16 = "bfloat16"


@dataclass(frozen=True)
class Precision:
    """A precision on a device."""

    kind: PrecisionKind
    device: str

    @property
    def trained(self) -> torch.dtype:
        """What trained weights, their gradients and the optimizer's state are held in."""
        whole = self.kind in (PrecisionKind.MIXED, PrecisionKind.FLOAT32)
        return torch.float32 if whole else torch.bfloat16

    @property
    def below_adapters(self) -> torch.dtype:
        """What a frozen model that adapters are trained on is loaded in."""
        return torch.float32 if self.kind is PrecisionKind.FLOAT32 else torch.bfloat16

    @property
    def autocasts(self) -> bool:
        """Whether torch's autocast is on around forward passes."""
        return self.kind is not PrecisionKind.FLOAT32

    def autocast(self) -> contextlib.AbstractContextManager[None]:
        """What goes around a forward pass."""
        around: contextlib.AbstractContextManager[None] = torch.autocast(
            self.device, torch.bfloat16, enabled=self.autocasts
        )
        return around


def resolve_precision(name: PrecisionName | str) -> Precision:
    """`auto` is mixed where an accelerator has bfloat16 of its own, float32 elsewhere.

    Emulated bfloat16 (NVIDIA before compute capability 8) does not count: it is slower than float32.
    """
    if name == "auto":
        name = PrecisionKind.MIXED if device.native_bfloat16() else PrecisionKind.FLOAT32
    return Precision(PrecisionKind(name), device.kind())


def compute_in(model: Any, precision: Precision) -> None:
    """Let every forward of a causal LM run in `precision`, whoever calls it.

    All that is added are bound methods, which a copy of the model binds to itself.
    """

    @functools.wraps(type(model).forward)
    def forward(self: Any, *args: Any, **kwargs: Any) -> Any:
        with self.harness_precision.autocast():
            return self.harness_forward(*args, **kwargs)

    model.harness_precision, model.harness_forward = precision, model.forward
    model.forward = MethodType(forward, model)


def computing(model: Any) -> contextlib.AbstractContextManager[None]:
    """What goes around a part of a causal LM that is called by itself."""
    precision: Precision | None = getattr(model, "harness_precision", None)
    return contextlib.nullcontext() if precision is None else precision.autocast()


def round_as_autocast_does(model: Any) -> None:
    """Hold the matrices of a frozen model's linear layers in bfloat16; nothing else is rounded.

    A matrix that an embedding shares stays as it is, since a look-up is no product.
    """
    looked_up = {id(m.weight) for m in model.modules() if isinstance(m, torch.nn.Embedding)}
    for module in model.modules():
        if isinstance(module, torch.nn.Linear) and id(module.weight) not in looked_up:
            module.to(torch.bfloat16)
