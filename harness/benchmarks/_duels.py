"""Answers of two sides before a judge: both orders, averaged, by alpaca_eval's annotator and metric."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from harness.benchmarks import UNREADABLE, scores_of_items
from harness.benchmarks._clusters import shared
from harness.benchmarks._official_lc import official_lc
from harness.generate import Answer
from harness.judges import Duel, agreement_of, quiet, usage_of
from harness.records import Score

OWN_ANSWERS = ("chosen", "published")
Pairs = list[tuple[Answer, Answer]]


def pairs_of(cells: dict[str, list[Answer]], cell: str, rival: str) -> Pairs:
    """A cell's answers with its rival's, or with those that the prompts brought along."""
    ours = cells[cell]
    if rival in OWN_ANSWERS:
        return [(a, replace(a, text=a.reference or "")) for a in ours]
    theirs = {a.id: a for a in cells[rival]}
    return [(a, theirs[a.id]) for a in ours if a.id in theirs]


def both_orders(pairs: Pairs) -> list[Duel]:
    """Every pair with the rival's answer first, then every pair with it second."""
    first = [(ours.prompt, theirs.text, ours.text) for ours, theirs in pairs]
    return first + [(ours.prompt, ours.text, theirs.text) for ours, theirs in pairs]


def duel(
    judge: Any,
    pairs: Pairs,
    out: Path,
    *,
    cell: str,
    rival: str,
    metric: str,
    progress: Callable[[int, int], None] = quiet,
) -> list[Score]:
    """The win rate of `pairs`' first answers and their difference in length, an item a prompt.

    A pair whose orders could not both be read has no win (`half_read` and `parse_failures` count them).
    """
    before, duels = usage_of(judge), both_orders(pairs)
    preferred = _annotate(judge, duels, out, progress)
    when_second = [None if p is None else 1 - p for p in preferred[: len(pairs)]]
    when_first = preferred[len(pairs) :]
    wins = [_win(one, two) for one, two in zip(when_second, when_first, strict=True)]
    length = f"length_difference{metric.removeprefix('win_rate')}"
    clusters = shared([ours.prompt for ours, _ in pairs])
    items = [
        _item(pair, metric, length, win, one, two) | cluster
        for pair, win, one, two, cluster in zip(pairs, wins, when_second, when_first, clusters, strict=True)
    ]
    settings = {
        "judge": judge.name,
        "rival": rival,
        **_orders(when_second, when_first),
        **agreement_of(judge, duels),
        **usage_of(judge, before),
        **_length_controlled(pairs, wins, cell, rival),
    }
    scores = scores_of_items(
        "alpaca_eval",
        items,
        out,
        file=f"alpaca_eval.{cell}.{metric}",
        settings=settings,
        absent=UNREADABLE,
        neutral=[length],
    )
    rate = official_win_rate(wins)
    return [s.model_copy(update={"estimate": rate}) if s.metric == metric else s for s in scores]


def _win(when_second: float | None, when_first: float | None) -> float | None:
    """Our part of a pair, 0 lost and 1 won: the mean of both orders, None unless both could be read.

    One order alone would carry the judge's leaning to a place into the win rate: where readability depends
    on the place, equal models then differ from 50%. Without such pairs the rate is unbiased as long as
    being unreadable has nothing to do with who is better; how many were left out stands with the score.
    """
    return None if when_second is None or when_first is None else (when_second + when_first) / 2


def _item(
    pair: tuple[Answer, Answer],
    metric: str,
    length: str,
    win: float | None,
    when_second: float | None,
    when_first: float | None,
) -> dict[str, Any]:
    """One prompt; the preferences are for our answer in [0, 1], where it stood second and where first."""
    ours, theirs = pair
    return {
        "id": ours.id,
        "metrics": {metric: win, length: len(ours.text) - len(theirs.text)},
        "own_preference_when_second": when_second,
        "own_preference_when_first": when_first,
        "prompt": ours.prompt,
        "answer": ours.text,
        "rival_answer": theirs.text,
    }


def _orders(when_second: list[float | None], when_first: list[float | None]) -> dict[str, Any]:
    """How far the two orders agree, and what could not be read."""
    both = list(zip(when_second, when_first, strict=True))
    read = [(a, b) for a, b in both if a is not None and b is not None]
    return {
        "orders": "both, averaged",
        "flip_rate": sum(_side(a) != _side(b) for a, b in read) / len(read) if read else None,
        "first_slot_rate": _first_slot_rate(read),
        "parse_failures": sum(p is None for pair in both for p in pair),
        "half_read": sum((a is None) != (b is None) for a, b in both),
        "judgments": 2 * len(both),
    }


def _length_controlled(pairs: Pairs, wins: list[float | None], cell: str, rival: str) -> dict[str, Any]:
    """AlpacaEval 2's own figure where its own prompts were asked; elsewhere it does not exist."""
    if not pairs or "place" not in pairs[0][0].meta:
        return {}
    rows = [
        {
            "instruction": ours.prompt,
            "output_1": theirs.text,
            "output_2": ours.text,
            "generator_1": rival,
            "generator_2": cell,
            "preference": None if win is None else 1 + win,
        }
        for (ours, theirs), win in zip(pairs, wins, strict=True)
    ]
    value, reason = official_lc(rows)
    return {"official_lc_win_rate": value, "official_lc_reason": reason}


def official_win_rate(wins: Sequence[float | None]) -> float | None:
    """alpaca_eval's own metric of wins in [0, 1], None where there are none; it wants them as 1 to 2."""
    with warnings.catch_warnings():
        # That it imports pkg_resources is no news to a user.
        warnings.simplefilter("ignore")
        from alpaca_eval.metrics import get_winrate
    annotations = [{"preference": 1 + win} for win in wins if win is not None]
    return float(get_winrate(annotations)["win_rate"]) / 100 if annotations else None


def _side(preference: float) -> int:
    """Which side a preference for our answer leans to: 1 ours, -1 the rival's, 0 neither."""
    return (preference > 0.5) - (preference < 0.5)


def _first_slot_rate(read: list[tuple[float, float]]) -> float | None:
    """Share of decided judgments that took the answer in the first place; ours stood second, then first."""
    firsts = [a < 0.5 for a, _ in read if a != 0.5] + [b > 0.5 for _, b in read if b != 0.5]
    return sum(firsts) / len(firsts) if firsts else None


def _annotate(
    judge: Any, rows: list[Duel], out: Path, progress: Callable[[int, int], None]
) -> list[float | None]:
    """Preference for the first answer in [0, 1], None where unreadable."""
    from harness.benchmarks._annotator import annotate

    return annotate(judge, rows, out, progress)
