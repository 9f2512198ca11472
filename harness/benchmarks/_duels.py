"""Answers of two sides before a judge: both orders, averaged, by alpaca_eval's annotator and metric."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from harness.benchmarks import UNREADABLE, scores_of_items
from harness.benchmarks._official_lc import official_lc
from harness.generate import Answer
from harness.judges import Duel, quiet, usage_of
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
    """The win rate of `pairs`' first answers and their difference in length, an item a prompt."""
    get_winrate = winrate_of_alpaca_eval()
    before = usage_of(judge)
    raw_preferences = _annotate(judge, both_orders(pairs), out, progress)
    forward, backward = raw_preferences[: len(pairs)], [_turned(p) for p in raw_preferences[len(pairs) :]]
    means = [_mean(one, two) for one, two in zip(forward, backward, strict=True)]
    preferences = [{"preference": mean} for mean in means if mean is not None]
    length = f"length_difference{metric.removeprefix('win_rate')}"
    items = [
        _item(pair, metric, length, mean, one, two)
        for pair, mean, one, two in zip(pairs, means, forward, backward, strict=True)
    ]
    settings = {
        "judge": judge.name,
        "rival": rival,
        **_orders(forward, backward),
        **usage_of(judge, before),
        **_length_controlled(pairs, means, cell, rival),
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
    if not preferences:
        return scores
    rate = float(get_winrate(preferences)["win_rate"]) / 100
    return [s.model_copy(update={"estimate": rate}) if s.metric == metric else s for s in scores]


def _item(
    pair: tuple[Answer, Answer],
    metric: str,
    length: str,
    mean: float | None,
    second: float | None,
    first: float | None,
) -> dict[str, Any]:
    """One prompt; `second` and `first` are the preferences where our answer stood there."""
    ours, theirs = pair
    return {
        "id": ours.id,
        "metrics": {
            metric: None if mean is None else mean - 1,
            length: len(ours.text) - len(theirs.text),
        },
        "preference_when_second": second,
        "preference_when_first": first,
        "prompt": ours.prompt,
        "answer": ours.text,
        "rival_answer": theirs.text,
    }


def _orders(forward: list[float | None], backward: list[float | None]) -> dict[str, Any]:
    """How far the two orders agree, and what could not be read."""
    asked = [(a, b) for a, b in zip(forward, backward, strict=True) if a is not None and b is not None]
    return {
        "orders": "both, averaged",
        "flip_rate": sum(_side(a) != _side(b) for a, b in asked) / len(asked) if asked else None,
        "first_slot_rate": _first_slot_rate(asked),
        "parse_failures": sum(p is None for p in [*forward, *backward]),
        "judgments": len(forward) + len(backward),
    }


def _mean(*preferences: float | None) -> float | None:
    known = [p for p in preferences if p is not None]
    return sum(known) / len(known) if known else None


def _length_controlled(pairs: Pairs, means: list[float | None], cell: str, rival: str) -> dict[str, Any]:
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
            "preference": mean,
        }
        for (ours, theirs), mean in zip(pairs, means, strict=True)
    ]
    value, reason = official_lc(rows)
    return {"official_lc_win_rate": value, "official_lc_reason": reason}


def winrate_of_alpaca_eval() -> Any:
    """Its own metric; that it imports pkg_resources is no news to a user."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from alpaca_eval.metrics import get_winrate
    return get_winrate


def _turned(preference: float | None) -> float | None:
    """A preference seen from the other order: 1 and 2 change places."""
    return None if preference is None else 3 - preference


def _side(preference: float) -> int:
    """Which answer a preference leans to: -1 the first, 1 the second, 0 neither."""
    return (preference > 1.5) - (preference < 1.5)


def _first_slot_rate(asked: list[tuple[float, float]]) -> float | None:
    """Share of decided judgments that took the answer in the first place."""
    firsts = [a < 1.5 for a, _ in asked if a != 1.5] + [b > 1.5 for _, b in asked if b != 1.5]
    return sum(firsts) / len(firsts) if firsts else None


def _annotate(
    judge: Any, rows: list[Duel], out: Path, progress: Callable[[int, int], None]
) -> list[float | None]:
    """1 where the first answer is preferred, 2 the second, 1.5 a tie, None where unreadable."""
    from harness.benchmarks._annotator import annotate

    return annotate(judge, rows, out, progress)
