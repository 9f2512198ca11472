"""Optimizers that transformers does not name: those that round stochastically."""

from __future__ import annotations

from typing import Any

from harness.errors import UserError
from harness.pipeline.training_spec import TrainConfig

EPSILON = 1e-8


def stochastic_optimizer(config: TrainConfig) -> tuple[Any, dict[str, Any]]:
    """torchao's AdamW, whose weights in bfloat16 round up or down at random by how near they lie.

    Its moments are bfloat16 too and round to nearest, so a second moment stops to follow small changes
    after some hundred steps at beta2 0.999. Raises UserError where torchao is not installed.
    """
    try:
        from torchao import optim  # type: ignore[import-untyped, import-not-found, unused-ignore]
    except ImportError as error:
        raise UserError(
            "precision: bfloat16_stochastic needs torchao, which is not installed",
            remedy="pip install 'orpo-harness[stochastic]', or give another precision",
        ) from error
    kind = optim.AdamW8bit if config.optimizer == "adamw_8bit" else optim._AdamW
    return kind, {
        "lr": config.learning_rate,
        "betas": (config.adam_beta1, config.adam_beta2),
        "eps": EPSILON,
        "bf16_stochastic_round": True,
    }
