"""The load-balancing loss of a mixture of experts: one rule for every arm.

TRL's trainers of SFT and DPO add it by the coefficient that the model came with, its ORPO only where the
model's configuration asks for router logits. It is no part of any objective here, so it is left out unless
`router_aux_loss` sets its coefficient, and then every method adds the same (Fedus et al. 2021,
arXiv 2101.03961, equations 4 to 6). It is no sum over tokens: a micro-batch adds its own, by its share of the
effective batch's pairs.
"""

from __future__ import annotations

import sys
from typing import Any

import torch

from harness.errors import UserError
from harness.generate.head import causal_lm
from harness.measure.model_shape import experts_a_token, experts_of


def set_router_loss(model: Any, coefficient: float) -> None:
    """Make the model's configuration say what TRL's trainers and the model's own stack read there."""
    config = causal_lm(model).config.get_text_config()
    if experts_of(config) is None:
        if coefficient:
            raise UserError(
                f"router_aux_loss is for mixtures of experts, and a {config.model_type} model is none",
                remedy="leave router_aux_loss out",
            )
        return
    config.output_router_logits = coefficient > 0
    config.router_aux_loss_coef = coefficient


class RouterLoss:
    """Keeps the router's logits of the last forward through a model's blocks, and makes the loss of them."""

    def __init__(self, model: Any, coefficient: float) -> None:
        inner = causal_lm(model)
        config = inner.config.get_text_config()
        self.coefficient = coefficient
        self._loss = getattr(sys.modules[type(inner).__module__], "load_balancing_loss_func", None)
        if self._loss is None:
            raise UserError(
                f"{type(inner).__name__} has no load-balancing loss in transformers",
                remedy="leave router_aux_loss out",
            )
        self._experts, self._a_token = experts_of(config), experts_a_token(config)
        self._logits: tuple[torch.Tensor, ...] = ()
        inner.base_model.register_forward_hook(self._keep)

    def _keep(self, module: Any, args: Any, output: Any) -> None:
        self._logits = tuple(output.router_logits)

    def term(self, attention: torch.Tensor) -> torch.Tensor:
        """The coefficient times the last forward's loss; `attention` (batch, length) leaves padding out."""
        assert self._loss is not None
        logits, self._logits = self._logits, ()
        loss: torch.Tensor = self._loss(logits, self._experts, self._a_token, attention)
        return self.coefficient * loss


def router_loss_of(trainer: Any) -> float | None:
    """The coefficient that one of TRL's trainers adds the loss with; None for a dense model."""
    if experts_of(causal_lm(trainer.model).config.get_text_config()) is None:
        return None
    if not getattr(trainer, "aux_loss_enabled", False):
        return 0.0
    known = (getattr(trainer, name, None) for name in ("router_aux_loss_coef", "aux_loss_coef"))
    return float(next(value for value in known if value is not None))
