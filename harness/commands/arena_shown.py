"""What is printed when a sitting of `harness arena` is over."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from rich.console import Console

from harness.evidence.people import HUMAN, People, voted
from harness.evidence.statistics.estimate import Estimate
from harness.evidence.view import ComparisonView
from harness.votes import Vote, firsts


def print_counts(given: Sequence[Vote], view: ComparisonView, console: Console) -> None:
    """This sitting's counts, then what all votes on the run say so far."""
    decided = firsts(given)
    ties = sum(vote.preference == 0.5 for vote in decided)
    skipped = sum(vote.preference is None for vote in given)
    again = sum(vote.again and vote.preference is not None for vote in given)
    lines = [
        f"{len(decided)} vote(s) this session, {ties} of them tie(s); {skipped} skipped, {again} shown again."
    ]
    for one in voted(view):
        lines += _of_arms(one)
    for line in lines:
        console.print(line, highlight=False, markup=False, soft_wrap=True)


def _of_arms(one: People) -> list[str]:
    lines = [
        f"{HUMAN}: {one.a} against {one.b} on {one.pairs} pair(s), {one.votes} vote(s) by "
        f"{', '.join(one.voters)}: win rate {_percent(one.win_rate)}",
        f"Took the left answer: {_percent(one.left)}. Same answer when shown again: {_percent(one.itself)}.",
    ]
    for other in one.beside:
        same, alpha = other.agreement.same, other.agreement.alpha
        lines.append(
            f"Agreement with {other.judge} ({other.metric}) on {other.pairs} pair(s): "
            f"same side {_percent(same)}, alpha {_number(alpha)}"
        )
    return lines


def _percent(one: Estimate) -> str:
    return _shown(one, lambda value: f"{100 * value:.1f}%")


def _number(one: Estimate) -> str:
    return _shown(one, lambda value: f"{value:.2f}")


def _shown(one: Estimate, as_text: Callable[[float], str]) -> str:
    """The value with its 95% interval, or why there is none."""
    if one.value is None:
        return f"none ({one.reason})"
    if one.low is None or one.high is None:
        return f"{as_text(one.value)} (no interval: {one.reason})"
    return f"{as_text(one.value)} (95% interval {as_text(one.low)} to {as_text(one.high)})"
