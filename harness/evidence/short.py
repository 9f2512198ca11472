"""An answer in one short line: what was asked, the verdict in plain words, the figure."""

from __future__ import annotations

from collections.abc import Mapping

from harness.evidence.answers import Answer
from harness.evidence.costs import cost_title
from harness.evidence.primary import Primary
from harness.evidence.registered import is_counted, questions_in_words
from harness.evidence.statistics.margins import SAME
from harness.evidence.statistics.verdict import Outcome
from harness.evidence.view import ComparisonView
from harness.evidence.wording import (
    UNIT,
    Evidence,
    counted_percent,
    duel,
    excludes_equal,
    percent,
    signed,
    title_of,
)
from harness.quantities import AGGREGATE, cost_of, is_win_rate

WORDS = {
    Outcome.NOT_SEPARABLE: "no clear difference",
    Outcome.NOT_MEASURED: "not measured",
    Outcome.NOT_JUDGED: "not judged here",
    Outcome.IDENTICAL: "identical",
}
"""Verdicts that are said otherwise than in tables."""


def quantity_title(view: ComparisonView, titles: Mapping[str, str], quantity: str) -> str:
    """`Accuracy (preference)`, `Win rate against SFT (alpaca_eval)`, `Training time`."""
    cost = cost_of(quantity)
    if cost is not None:
        title = cost_title(view, cost)
        return title[0].upper() + title[1:]
    if quantity.startswith(AGGREGATE):
        return f"Aggregate {quantity.removeprefix(AGGREGATE)}"
    benchmark, _, metric = quantity.rpartition(".")
    words, rival = metric.replace("_", " "), view.rival_of(quantity)
    if is_win_rate(quantity) and rival is not None:
        words = f"win rate against {title_of(titles, rival)}"
    return f"{words[0].upper()}{words[1:]} ({benchmark})"


def asked(
    view: ComparisonView, titles: Mapping[str, str], one: Evidence, pair: Primary, remark: str = ""
) -> str:
    """The quantity and the remark on it, with its arms where they are others than those of `pair`, which
    the page is about."""
    name = quantity_title(view, titles, one.quantity) + remark
    if (one.a, one.b) == (pair.a, pair.b):
        return name
    return f"{name}, {title_of(titles, one.a)} against {title_of(titles, one.b)}"


def short_line(view: ComparisonView, titles: Mapping[str, str], one: Evidence, pair: Primary) -> str:
    """One line: what was asked, the verdict, the figure."""
    name = asked(view, titles, one, pair)
    if one.estimate.value is None:
        return f"{name}: not measured ({one.estimate.reason})."
    return f"{name}: {_verdict(one)}; {_figure(view, titles, one)}."


def _verdict(one: Evidence) -> str:
    """The outcome in plain words, with its margin or the reason why it is not more."""
    outcome = one.verdict.outcome
    if isinstance(one, Answer) and outcome == Outcome.NOT_WORSE and one.margin is not None:
        margin = percent(one.margin) if one.is_cost else signed(one.quantity, one.margin).removeprefix("+")
        same = one.p_same is not None and one.p_same < SAME
        return f"equivalent within {margin}" if same else f"not worse by {margin} or more"
    if outcome == Outcome.NOT_SEPARABLE and excludes_equal(one):
        return f"not significant after correction for {_family(one)}"
    if outcome == Outcome.NOT_SEPARABLE and one.estimate.low is None and one.estimate.reason:
        return f"no verdict, since {one.estimate.reason}"
    return WORDS.get(outcome, outcome.value)


def _family(one: Evidence) -> str:
    return questions_in_words([one]) if isinstance(one, Answer) else "the registered questions"


def _figure(view: ComparisonView, titles: Mapping[str, str], one: Evidence) -> str:
    """Ratio or difference with its interval; before it, of answers that met each other, how they did."""
    value, low, high = one.estimate.value, one.estimate.low, one.estimate.high
    assert value is not None
    between = ""
    if cost_of(one.quantity) is not None:
        rival = title_of(titles, one.b)
        if is_counted(one.quantity):
            return f"{counted_percent(value)} of {rival}'s (counted)"
        if low is not None and high is not None:
            between = f" (95%: {percent(low)} to {percent(high)})"
        return f"{percent(value)} of {rival}'s{between}"
    text = signed(one.quantity, value)
    if low is not None and high is not None and low != high:
        ends = (signed(one.quantity, low).removesuffix(UNIT), signed(one.quantity, high).removesuffix(UNIT))
        between = f" (95%: {ends[0]} to {ends[1]})"
    counts = duel(view, one)
    if counts is None:
        return text + between
    won, tied, lost = (percent(n / counts.judged) for n in (counts.won, counts.tied, counts.lost))
    kinds = ("above half", "at half", "below half") if counts.soft else ("won", "tied", "lost")
    shares = ", ".join(f"{share} {kind}" for share, kind in zip((won, tied, lost), kinds, strict=True))
    return f"{shares}, {text}{between}"


def is_open(one: Evidence) -> bool:
    """Whether more seeds could settle it."""
    return one.verdict.outcome == Outcome.NOT_SEPARABLE
