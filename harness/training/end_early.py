"""A stage that a pruner ends: at the first probe that is below what earlier trials had there."""

from __future__ import annotations

from typing import Any

import transformers

from harness.records import EndedEarly, EndRule
from harness.training.trace import Trace

SAME_SHARE = 1e-6


class EndEarly(transformers.TrainerCallback):
    """Reads the row that a probe has just written; stands after it among the callbacks."""

    def __init__(self, rule: EndRule, trace: Trace) -> None:
        self._rule, self._trace = rule, trace
        self.ended: EndedEarly | None = None

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        step, steps = int(state.global_step), int(state.max_steps)
        value, least = self._probed(step), self._least(step / steps)
        if value is None or least is None or value >= least or step >= steps:
            return
        self.ended = EndedEarly(by=self._rule.by, step=step, steps=steps, value=value, least=least)
        control.should_training_stop, control.should_save = True, False

    def _probed(self, step: int) -> float | None:
        """The probe after this step, if there was one."""
        for row in reversed(self._trace.rows):
            if row["step"] < step:
                return None
            if self._rule.metric in row["metrics"]:
                return float(row["metrics"][self._rule.metric])
        return None

    def _least(self, share: float) -> float | None:
        """What the rule asks for at this share of the steps; shares are kept to six digits."""
        asked = (least for at, least in self._rule.least if abs(at - share) <= SAME_SHARE)
        return next(asked, None)
