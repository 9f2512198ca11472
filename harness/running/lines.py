"""A status in lines of text, as wide as there is room. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from harness.running.status import RunningStage, Status, running_stages
from harness.units import scaled, significant

BYTES = ((2**30, "GiB"), (2**20, "MiB"))
LEAST_BAR, MOST_BAR = 10, 40
FULL, EMPTY = "━", "─"
DAY = 86_400


def duration(seconds: float) -> str:
    """`52 s`, `4 min`, `3.2 h`, `2.1 days`; what is left is at least a second."""
    if seconds < 120:
        return f"{max(1, round(seconds))} s"
    if seconds < 7200:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h" if seconds < 2 * DAY else f"{seconds / DAY:.1f} days"


def clock(at: datetime, now: datetime | None = None) -> str:
    """Local time of day, with the weekday where it is another day than `now`."""
    local = at.astimezone()
    same_day = now is not None and now.astimezone().date() == local.date()
    return f"{local:%H:%M}" if same_day else f"{local:%a %H:%M}"


def place(status: Status, stage: RunningStage) -> str:
    """`[12/18] sft_dpo/dpo@0` of a running stage."""
    return f"[{stage.number}/{status.stages}] {stage.name}"


def stage_facts(stage: RunningStage) -> list[str]:
    """What the stage does and how far it is, in the order in which it matters."""
    training = stage.does == "training"
    steps = f"{stage.step}/{stage.total}" if stage.total and stage.step < stage.total else ""
    doing = " ".join(part for part in ("" if training and steps else stage.does, steps) if part)
    left = [f"{duration(stage.seconds_left)} left"] if stage.seconds_left is not None else []
    return [doing, *left]


def whole_facts(status: Status) -> list[str]:
    """What is left of the whole comparison, and when that will be; nothing once all is foretold and done."""
    if status.seconds_left is None:
        return ["time left is known after the rehearsals"] if status.stage is not None else []
    until = status.updated_at + timedelta(seconds=status.seconds_left)
    on_top = [f"{' and '.join(status.on_top)} on top"] if status.on_top else []
    return [f"{duration(status.seconds_left)} left", f"until {clock(until, status.updated_at)}", *on_top]


def rates(stage: RunningStage) -> list[str]:
    """Loss, tokens a second and memory, of which some may not be known."""
    loss = [f"loss {significant(stage.loss)}"] if stage.loss is not None else []
    return [*loss, *speed(stage)]


def speed(stage: RunningStage) -> list[str]:
    """Tokens a second and memory."""
    tokens = [f"{_thousands(stage.tokens_per_second)} tokens/s"] if stage.tokens_per_second else []
    memory = [scaled(stage.memory_bytes, BYTES)] if stage.memory_bytes else []
    return [*tokens, *memory]


def live_lines(status: Status, width: int) -> list[str]:
    """Each running stage and the whole comparison, a bar each; what does not fit is left out."""
    running = running_stages(status)
    if not running:
        return [_with_bar("whole comparison", None, [status.does], width)]
    whole = [*whole_facts(status), *(speed(running[0]) if len(running) == 1 else [])]
    return [
        *(_live_line(status, stage, width) for stage in running),
        _with_bar("whole comparison", share_of_whole(status), whole, width),
    ]


def _live_line(status: Status, stage: RunningStage, width: int) -> str:
    loss = [f"loss {significant(stage.loss)}"] if stage.loss is not None else []
    at = [f"on {stage.place}"] if stage.place is not None else []
    return _with_bar(place(status, stage), _share_of_stage(stage), [*stage_facts(stage), *loss, *at], width)


def plain_line(status: Status) -> str:
    """All of it in one line, for logs."""
    running = running_stages(status)
    if not running:
        return status.does
    parts = [f"{place(status, stage)}: {', '.join(stage_facts(stage))}" for stage in running]
    parts += [f"whole comparison: {', '.join(whole_facts(status))}"]
    alone = rates(running[0]) if len(running) == 1 else []
    return "; ".join([*parts, *([", ".join(alone)] if alone else [])])


def share_of_whole(status: Status) -> float:
    """By time where that is foretold, else by stages."""
    if status.seconds_left is None:
        return status.done / max(1, status.stages)
    spent = (status.updated_at - status.began_at).total_seconds()
    return spent / max(1e-9, spent + status.seconds_left)


def _share_of_stage(stage: RunningStage) -> float | None:
    return stage.step / stage.total if stage.total else None


def _with_bar(label: str, share: float | None, facts: Sequence[str], width: int) -> str:
    """`label ━━━━──── facts`; later facts give way first, then the bar, and the label is cut at the end."""
    for count in range(len(facts), 0, -1):
        text = ", ".join(facts[:count])
        room = width - len(label) - len(text) - 2
        if room >= LEAST_BAR:
            return f"{label} {_bar(share, min(room, MOST_BAR))} {text}"
    return f"{label} {facts[0]}"[:width]


def _bar(share: float | None, width: int) -> str:
    full = round(min(1.0, share or 0.0) * width)
    return FULL * full + EMPTY * (width - full)


def _thousands(value: float) -> str:
    return f"{value / 1000:.1f}k" if value >= 10_000 else f"{value:,.0f}"
