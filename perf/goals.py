"""What has to be reached, in the words of the goals; every benchmark beside stock TRL judges by these."""

from __future__ import annotations

from collections.abc import Mapping

from perf.losses import FIRST, Apart
from perf.paired import Goal

WHOLE = Goal(0.5, "seconds of `harness compare` over those of stock scripts that do the same work")
STAGE = Goal(0.8, "a training stage's own seconds over those of stock's trainer for its method")
RATE = {
    "sft": Goal(1.2, "real tokens a second of SFT over stock's", at_least=True),
    "dpo": Goal(1.5, "real tokens a second of DPO over stock's", at_least=True),
    "orpo": Goal(1.5, "real tokens a second of ORPO over stock's", at_least=True),
}
GROWTH = {
    "dpo": Goal(0.7, "peak growth of host memory in DPO over stock's"),
    "orpo": Goal(0.7, "peak growth of host memory in ORPO over stock's"),
}
LOSS = 1e-3
"""Relative difference of the losses of the first steps, where both sides compute the same."""
SAME_LOSS = ("sft", "dpo")
"""Methods whose loss stock TRL defines as we do. Its ORPO takes the NLL over prompt and answer, and a mean of
micro-batches where ours is one over the effective batch, so its loss is shown and not held to the limit."""
EXPONENT = Goal(1.05, "exponent of a comparison's cost against its seeds, arms, items or pairs")
OUTSIDE = 0.01
"""Most that all but training and its probes may take of a stage that trains for ten minutes."""
REHEARSAL = 0.05
"""Most that rehearsals may take of the whole run."""


def astray(losses: Mapping[str, Apart]) -> bool:
    """Whether losses that both sides define alike begin to differ before roundings have grown."""
    return any(apart.first > LOSS for method, apart in losses.items() if _alike(method, apart))


def _alike(method: str, apart: Apart) -> bool:
    return method in SAME_LOSS and apart.same_tokens


def print_losses(losses: Mapping[str, Apart]) -> None:
    """How far the losses of both sides are apart, by method."""
    for method, apart in losses.items():
        other = "other tokens" if method in SAME_LOSS else "defined otherwise"
        held = f"limit {LOSS:g}" if _alike(method, apart) else f"{other}, no limit"
        rounding = "not measured" if apart.rounding is None else f"{apart.rounding:.1e}"
        print(
            f"losses of {method}: {apart.first:.1e} apart in the first {FIRST} steps ({held}), "
            f"{apart.last:.1e} in the last; stock with half the micro-batch is {rounding} from itself there"
        )
