"""Whether a comparison is healthy, from its status and what can be seen of its machine. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from harness.running.lines import duration
from harness.running.status import Status, running_stages
from harness.units import scaled

SILENT_SECONDS = 1800.0
"""A stage that says nothing for so long may hang; counting FLOPs and writing weights are silent too."""
STALE_SECONDS = 120.0
"""The parent writes about every second while a stage runs."""
LEAST_FREE_BYTES = 2**30


@dataclass(frozen=True)
class Seen:
    """What was looked at: the time, whether the process lives (None on another machine), bytes free, and the
    machine's steady clock (None where it is not the process's machine)."""

    now: datetime
    alive: bool | None
    free_bytes: int
    uptime: float | None = None

    def since(self, told: datetime, uptime: float | None) -> float:
        """Seconds since a moment: by the steady clock where both are on it, since the other may be set."""
        if self.uptime is not None and uptime is not None and self.uptime >= uptime:
            return self.uptime - uptime
        return max(0.0, (self.now - told).total_seconds())


@dataclass(frozen=True)
class Sign:
    """One thing looked at, in words; `well` is False where it speaks of trouble."""

    name: str
    text: str
    well: bool = True


def signs(status: Status, seen: Seen) -> list[Sign]:
    """Process, last message, loss and disk."""
    found = [_process(status, seen)]
    if status.state == "running" and seen.alive is not False:
        found += [_messages(status, seen)]
    if status.failed:
        found += [Sign("failed", "; ".join(status.failed), well=False)]
    return [*found, _loss(status), _disk(seen)]


def _process(status: Status, seen: Seen) -> Sign:
    process = status.process
    if status.state == "finished":
        return Sign("process", "finished")
    if status.state != "running":
        return Sign("process", f"{status.state}: {status.message}", well=False)
    if seen.alive is None:
        return Sign("process", f"{process.pid} on {process.host}, which cannot be asked from here")
    if not seen.alive:
        text = f"{process.pid} is gone and did not say why: it was killed, or the machine restarted"
        return Sign("process", f"{text}; the same command continues", well=False)
    return Sign("process", f"{process.pid} runs")


def _messages(status: Status, seen: Seen) -> Sign:
    quiet = seen.since(status.updated_at, status.updated_uptime)
    if status.stage is None:
        return Sign("last message", f"{duration(quiet)} ago")
    silent = max(seen.since(stage.heard_at, stage.heard_uptime) for stage in running_stages(status))
    well = silent < SILENT_SECONDS and quiet < STALE_SECONDS
    return Sign("last message", f"{duration(silent)} ago", well=well)


def _loss(status: Status) -> Sign:
    if status.diverged:
        return Sign("loss", f"not finite in {', '.join(status.diverged)}", well=False)
    return Sign("loss", "finite in every stage that this command trained")


def _disk(seen: Seen) -> Sign:
    free = scaled(seen.free_bytes, ((2**30, "GiB"), (2**20, "MiB")))
    return Sign("disk", f"{free} free", well=seen.free_bytes >= LEAST_FREE_BYTES)
