"""Seconds of micro-batches and optimizer steps of a few trial steps, and what follows for a run."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from scipy import stats
from transformers import TrainerCallback

from harness.measure import device

WARM_UP_STEPS = 1
COST_SHARE = 0.025
"""What a trial's steps may take of the seconds that it foretells, beyond their least number. Counting comes
on top and takes 1 to 1.5% of an epoch of 900 pairs on a 135M model, so that all of it stays below 5%."""


@dataclass(frozen=True)
class MicroBatch:
    """One timed micro-batch; the last of its step also clips gradients."""

    seconds: float
    step: int
    last: bool


@dataclass(frozen=True)
class Forecast:
    """Seconds of a run, and the 95% interval that the spread of the timed steps gives."""

    seconds: float
    low: float
    high: float


@dataclass
class StepTimer(TrainerCallback):  # type: ignore[misc]
    """Marks the ends of micro-batches and steps, waiting for the device each time."""

    micro: list[MicroBatch] = field(default_factory=list)
    around: list[float] = field(default_factory=list)
    _since: float = 0.0
    _ended: float | None = None
    _step: int = 0

    def on_step_begin(self, *args: Any, **kwargs: Any) -> None:
        now = device.now()
        if self._ended is not None:
            self.around[-1] += now - self._ended
        self._since = now

    def on_substep_end(self, *args: Any, **kwargs: Any) -> None:
        self._mark(last=False)

    def on_pre_optimizer_step(self, *args: Any, **kwargs: Any) -> None:
        self._mark(last=True)

    def on_step_end(self, *args: Any, **kwargs: Any) -> None:
        now = device.now()
        self.around.append(now - self._since)
        self._ended = now
        self._step += 1

    def outside_steps(self, train_seconds: float) -> float:
        """What training took before its first step and after its last."""
        return max(0.0, train_seconds - sum(m.seconds for m in self.micro) - sum(self.around))

    def _mark(self, *, last: bool) -> None:
        now = device.now()
        self.micro.append(MicroBatch(now - self._since, self._step, last))
        self._since = now


class CostLimit(TrainerCallback):  # type: ignore[misc]
    """Ends a trial that has taken `COST_SHARE` of what it foretells, after `least` steps or more.

    `tokens` are those of the trial's micro-batches in order, `whole` those of the run that it stands for;
    `began` is when the rehearsal did, since loading and a reference pass are part of what it takes. Stands
    after `timer` among the callbacks.
    """

    def __init__(
        self, timer: StepTimer, tokens: Sequence[int], *, whole: float, least: int, began: float
    ) -> None:
        self._timer, self._tokens, self._whole = timer, tokens, whole
        self._least, self._began = least, began

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        spent = time.perf_counter() - self._began
        if len(self._timer.around) >= self._least and spent > COST_SHARE * self._foretold():
            control.should_training_stop = True

    def _foretold(self) -> float:
        """Seconds of the whole run's steps, at the rate of those after the warm-up."""
        timer = self._timer
        timed = [(m.seconds, t) for m, t in zip(timer.micro, self._tokens, strict=False) if _counts(m)]
        seconds = sum(s for s, _ in timed) + sum(timer.around[WARM_UP_STEPS:])
        return self._whole * seconds / sum(tokens for _, tokens in timed)


def forecast(
    timer: StepTimer, timed: Sequence[int], run: Sequence[int], steps: int, fixed: float
) -> Forecast:
    """Seconds of a run whose micro-batches take the FLOPs in `run`, in `steps` optimizer steps.

    `timed[i]` are the FLOPs of the timer's micro-batch i. A micro-batch takes a + b FLOPs
    seconds, the last of a step c more for clipping; a, b and c are fitted by least squares with
    relative weights, since the spread grows with the size. The first step is left out of the fit
    and what it took beyond it is added once. `fixed` is added as it is. Two timed micro-batches are
    enough: they give seconds a FLOP, with the wide interval of one degree of freedom.
    """
    pairs = list(zip(timer.micro, timed, strict=True))
    line = _Line([(m, f) for m, f in pairs if _counts(m)])
    around = timer.around[WARM_UP_STEPS:]
    step_cost = float(np.median(around)) if around else 0.0
    first = [(m, f) for m, f in pairs if not _counts(m)]
    warm_up = sum(m.seconds for m, _ in first) - sum(float(line.at(_row(m, f))) for m, f in first)
    # The first optimizer step makes the optimizer's state, which takes long where memory is fresh.
    warm_up += sum(seconds - step_cost for seconds in timer.around[:WARM_UP_STEPS])
    totals = np.array([len(run), sum(run) / 1e12, steps], dtype=float)
    total = float(line.at(totals)) + steps * step_cost + max(0.0, warm_up) + fixed
    half = line.half_width(totals)
    return Forecast(total, max(0.0, total - half), total + half)


class _Line:
    """Least squares of seconds on 1, TFLOPs and being the last of a step; nothing negative."""

    def __init__(self, timed: Sequence[tuple[MicroBatch, int]]) -> None:
        design = np.array([_row(m, f) for m, f in timed])
        weights = 1 / np.array([m.seconds for m, _ in timed])
        self._columns = _usable(design)
        self._solve(design, weights)
        if (self._found < 0).any():
            self._columns = [1]
            self._solve(design, weights)

    def _solve(self, design: Any, weights: Any) -> None:
        self._scaled = design[:, self._columns] * weights[:, None]
        self._found, *_ = np.linalg.lstsq(self._scaled, np.ones(len(design)), rcond=None)

    def at(self, row: Any) -> Any:
        """Seconds of what `row` sums up."""
        return row[self._columns] @ self._found

    def half_width(self, row: Any) -> float:
        """Half of the 95% interval of the mean at `row` (Draper and Smith 1998, section 1.4)."""
        freedom = max(1, len(self._scaled) - len(self._columns))
        spread = float(((1 - self._scaled @ self._found) ** 2).sum()) / freedom
        covariance = np.linalg.pinv(self._scaled.T @ self._scaled) * spread
        error = float(np.sqrt(row[self._columns] @ covariance @ row[self._columns]))
        return float(stats.t.ppf(0.975, freedom)) * error


def _counts(micro: MicroBatch) -> bool:
    """Whether it came after the warm-up."""
    return micro.step >= WARM_UP_STEPS


def _row(micro: MicroBatch, flops: int) -> Any:
    return np.array([1.0, flops / 1e12, float(micro.last)])


def _usable(design: Any) -> list[int]:
    """Columns that the timed micro-batches can tell apart."""
    columns = [1]
    if len(design) > 3 and float(np.ptp(design[:, 1])) > 0.05 * float(design[:, 1].max()):
        columns = [0, 1]
    if len(design) > 4 and 0 < design[:, 2].sum() < len(design):
        columns.append(2)
    return columns
