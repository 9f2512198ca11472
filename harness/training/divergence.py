"""A training whose numbers are no longer finite ends at once, and says at which step and rate."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import transformers

from harness.errors import Diverged
from harness.records import UpdateFacts
from harness.training.trace import Trace

WATCHED = ("loss", "grad_norm")


class StopAtDivergence(transformers.TrainerCallback):
    """Raises Diverged at the first logged loss or gradient norm that is not finite.

    All that a later step could add is more of the same: the weights are lost, and so is the seed.
    """

    def __init__(self, trace: Trace) -> None:
        self._trace = trace

    def on_log(
        self, args: Any, state: Any, control: Any, logs: Mapping[str, float] | None = None, **_: Any
    ) -> None:
        """What one optimizer step logged."""
        if logs is None or "loss" not in logs:
            return
        step = int(state.global_step)
        for name in WATCHED:
            value = float(logs.get(name, 0.0))
            if not math.isfinite(value):
                rate = logs.get("learning_rate")
                raise Diverged(self._in_words(step, name.replace("_norm", "ient norm"), value, rate))

    def _in_words(self, step: int, name: str, value: float, rate: float | None) -> str:
        at = "" if rate is None else f"; learning rate {rate:.3g}"
        known = [(row["step"], row["metrics"].get("loss", math.nan)) for row in self._trace.rows]
        good = [(number, loss) for number, loss in known if math.isfinite(loss) and number < step]
        before = "no step before it was good"
        if good:
            before = f"the last good step was {good[-1][0]}, loss {good[-1][1]:.4g}"
        return f"diverged at step {step}: {name} {value}{at}; {before}"


def check_weights(updates: UpdateFacts, steps: int) -> None:
    """Raise Diverged where the last step left weights that are not finite, which no loss has shown yet."""
    if updates.relative_norm is not None and not math.isfinite(updates.relative_norm):
        raise Diverged(f"diverged at step {steps}, its last: the trained weights are not finite")
