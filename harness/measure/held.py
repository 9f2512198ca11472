"""Bytes that training holds throughout, by formula: weights, gradients, the optimizer's state, a reference.

Activations come on top. With AdamW a trained weight takes 16 bytes in float32 and in mixed precision (4 of
weight, 4 of gradient, 8 of two moments; Rajbhandari et al. 2020, arXiv 1910.02054, section 3.1, keep
gradients in 16 bits and so count 2 + 2 + 12), and 8 in bfloat16. Under autocast the matrices' bfloat16
copies, which the backward pass needs, take 2 more.
"""

from __future__ import annotations

from dataclasses import dataclass

FLOAT32, BFLOAT16 = 4, 2
MOMENTS = 2
# Bytes of a weight that is not trained; 4-bit blocks of 64 with doubly quantised scales (Dettmers et al.
# 2023, arXiv 2305.14314, section 3).
QUANTISED = {"4bit": (4 + 0.127) / 8, "8bit": 1.0}


@dataclass(frozen=True)
class Held:
    """Bytes by what they are for."""

    weights: float
    gradients: float
    optimizer: float
    casts: float
    reference: float

    @property
    def total(self) -> float:
        """All of them."""
        return self.weights + self.gradients + self.optimizer + self.casts + self.reference


def held_bytes(
    *,
    trained: int,
    frozen: int,
    precision: str,
    optimizer: str = "adamw_torch",
    quantization: str = "none",
    reference_copy: bool = False,
) -> Held:
    """What `trained` and `frozen` weights take; adapters are trained and their base frozen.

    `reference_copy`: a second model stands beside the policy, all of whose weights are trained.
    """
    whole = precision in ("mixed", "float32")
    each = FLOAT32 if whole else BFLOAT16
    below = QUANTISED.get(quantization, FLOAT32 if precision == "float32" else BFLOAT16)
    moment = 1 if "8bit" in optimizer else each
    casts = BFLOAT16 * trained if precision == "mixed" else 0
    beside = FLOAT32 if precision == "float32" else BFLOAT16
    return Held(
        weights=trained * each + frozen * below,
        gradients=trained * each,
        optimizer=MOMENTS * moment * trained,
        casts=casts,
        reference=beside * trained if reference_copy else 0,
    )
