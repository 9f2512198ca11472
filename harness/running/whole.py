"""What a whole comparison still takes, in words: the total and the shares that it is the sum of. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from harness.records import StageKind
from harness.running.lines import clock, duration
from harness.running.outlook import Outlook
from harness.running.time_left import time_left


@dataclass(frozen=True)
class Foretold:
    """Seconds of all training that is to come, by its rehearsals, with their 95% interval; `cells` are to be
    scored, in `most_scoring` seconds at most."""

    training: float
    low: float
    high: float
    cells: int
    most_scoring: float


def whole_in_words(outlook: Outlook, foretold: Foretold, *, report: float, now: datetime) -> str:
    """`About 5 min, until 16:05: 52 s of training (95%: ...), ...`; what is not foretold is named."""
    trained, scored = _sum(outlook, "train"), _sum(outlook, "evaluate")
    around = trained - foretold.training
    shares = []
    if trained:
        interval = f"95%: {duration(foretold.low)} to {duration(foretold.high)}"
        shares.append(f"{duration(foretold.training)} of training ({interval})")
    if around >= 1:
        shares.append(f"{duration(around)} of starting, probing and counting FLOPs around it")
    if scored:
        # A bound by the longest answers holds no start-up, and says nothing where the forecast is above it.
        most = f" (at most {duration(foretold.most_scoring)})" if foretold.most_scoring > scored else ""
        cells = "1 cell" if foretold.cells == 1 else f"{foretold.cells} cells"
        shares.append(f"{duration(scored)} of scoring {cells}{most}")
    if judging := _sum(outlook, "judge"):
        shares.append(f"{duration(judging)} of judging")
    whole = trained + scored + judging + report
    on_top = time_left(outlook, None).on_top
    rest = f"; {', '.join(on_top)} on top" if on_top else ""
    until = clock(now + timedelta(seconds=whole), now)
    shares.append(f"{duration(report)} for the report")
    return f"About {duration(whole)}, until {until}: {', '.join(shares)}{rest}."


def _sum(outlook: Outlook, kind: StageKind) -> float:
    return sum(
        one.parts.total for one in outlook.stages.values() if one.kind == kind and one.parts is not None
    )
