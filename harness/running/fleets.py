"""Fleets as a user writes them: `8`, or `4+4@2` for four more that are twice as fast. Pure."""

from __future__ import annotations

from harness.errors import UserError
from harness.running.schedule import Fleet

MOST_DEVICES = 10_000
FASTEST = 1000.0


def fleets_of(text: str) -> list[Fleet]:
    """`1,8,64` or `4+4@2`: one or several fleets, each of kinds with their number and speed.

    Raises UserError for what is neither.
    """
    return [_fleet(one.strip()) for one in text.split(",")]


def in_words(fleet: Fleet) -> str:
    """`8`, or `4 + 4 of speed 2`."""
    speeds = list(dict.fromkeys(fleet.speeds))
    counted = {speed: fleet.speeds.count(speed) for speed in speeds}
    return " + ".join(
        f"{count}" if speed == 1 else f"{count} of speed {speed:g}" for speed, count in counted.items()
    )


def _fleet(text: str) -> Fleet:
    speeds = list[float]()
    for kind in text.split("+"):
        count, at, speed = kind.strip().partition("@")
        try:
            speeds += [float(speed if at else 1)] * _count(count)
        except ValueError:
            raise _mistake(text) from None
    if not speeds or not all(1 / FASTEST <= speed <= FASTEST for speed in speeds):
        raise _mistake(text)
    return Fleet(tuple(speeds))


def _count(text: str) -> int:
    count = int(text)
    if not 0 < count <= MOST_DEVICES:
        raise ValueError(text)
    return count


def _mistake(text: str) -> UserError:
    return UserError(
        f"{text!r} is no number of devices",
        where="--devices",
        remedy="give one such as 8, several such as 1,8,64, or kinds with their speed such as 4+4@2",
    )
