"""How long a running comparison still takes, corrected by the steps that are done. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from harness.running.outlook import Expected, Outlook, shared_rate
from harness.running.parts import Parts

REPORT_SECONDS = 15.0
"""Report and tracking of a small comparison, where this root has timed none."""
PRIOR = 0.05
"""What is foretold of a stage's steps weighs as much as this share of them, measured."""


@dataclass(frozen=True)
class At:
    """How far the running stage is, in seconds since it began: `now`, when its latest step ended, and the
    `first` step of which it told. `steps_over` is when what follows the steps began, None before."""

    digest: str
    now: float
    step: int = 0
    total: int = 0
    step_at: float = 0.0
    first: tuple[int, float] | None = None
    steps_over: float | None = None


@dataclass(frozen=True)
class TimeLeft:
    """Seconds of the running stage, and of it and all that follows with the report.

    None where nothing foretells them. `on_top` names what comes beside `whole` and is not foretold.
    """

    stage: float | None
    whole: float | None
    on_top: tuple[str, ...] = ()


def time_left(outlook: Outlook, at: At | None, *, report: float = REPORT_SECONDS) -> TimeLeft:
    """What is left at this moment; the whole is None until every training stage is foretold.

    The first stage of a kind tells while it runs how much longer than rehearsed the others will take.
    """
    running = outlook.stages.get(at.digest) if at is not None else None
    stage = None if at is None else left_of_stage(running.parts if running else None, at)
    ahead = [one for digest, one in outlook.stages.items() if at is None or digest != at.digest]
    unknown = dict.fromkeys(one.kind for one in ahead if one.parts is None)
    words = {"evaluate": "scoring", "judge": "judging"}
    on_top = [words[kind] for kind in unknown if kind in words]
    if not outlook.complete or any(kind not in words for kind in unknown):
        return TimeLeft(stage, None)
    pace = 1.0 if at is None or running is None else _pace(running, at)
    whole = report + (stage or 0.0)
    for one in ahead:
        if one.parts is not None:
            alike = running is not None and one.kind == running.kind
            whole += one.parts.total + (one.parts.steps * (pace - 1) if alike else 0.0)
    return TimeLeft(stage, whole, (*outlook.own_ways, *on_top))


def _pace(running: Expected, at: At) -> float:
    """What the steps of the running stage tell of others; 1 where stages of the kind are finished."""
    if running.parts is None or not running.rehearsed or not running.parts.steps or not at.step:
        return 1.0
    return shared_rate([_seconds_per_step(running.parts, at) * at.total / running.parts.steps])


def left_of_stage(parts: Parts | None, at: At) -> float | None:
    """Seconds of a running stage of which `parts` were expected.

    None where nothing tells, and where what comes after the last step takes longer than expected.
    """
    if at.steps_over is not None or (at.total and at.step >= at.total):
        over = at.step_at if at.steps_over is None else at.steps_over
        left = 0.0 if parts is None else parts.after - (at.now - over)
        return left if left > 0 else None
    if not at.step:
        if parts is None:
            return None
        return max(parts.total - at.now, parts.steps + parts.after) or None
    per_step = _seconds_per_step(parts, at)
    current = min(at.now - at.step_at, per_step)
    return per_step * (at.total - at.step) - current + (parts.after if parts is not None else 0.0)


def _seconds_per_step(parts: Parts | None, at: At) -> float:
    """By the steps so far, and by what was foretold as long as there are few."""
    step, since = at.first if at.first is not None and at.first[0] < at.step else (0, 0.0)
    steps, seconds = at.step - step, at.step_at - since
    if parts is None or not parts.steps:
        return seconds / steps
    if not step:
        steps, seconds = 0, 0.0
    prior = max(1.0, PRIOR * at.total)
    return (prior * parts.steps / at.total + seconds) / (prior + steps)
