"""Prompts with every arm's answer, its scores and who won: what stands behind the means."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

from harness.data.schemas import Pair
from harness.evidence.contrasts import arm_pairs
from harness.evidence.view import BASE, ComparisonView
from harness.tables import Exchange, Reply

MOST = 400
Texts = Mapping[str, Mapping[str, Mapping[str, Any]]]
"""Cell key -> item id -> a row with `prompt`, `answer` and perhaps `judgment`."""


def exchanges(
    view: ComparisonView, texts: Texts, pairs: Mapping[str, Pair] = MappingProxyType({})
) -> tuple[Exchange, ...]:
    """The first prompts that were answered at the first seed, each once, in the order of their items.

    Where a prompt is that of a held-out pair, the pair's answers stand before the arms'.
    """
    seed = view.seeds[0]
    cells = {BASE: BASE, **{arm: f"{arm}@{seed}" for arm in view.arms}}
    order = dict.fromkeys(item for cell in cells.values() for item in texts.get(cell, {}))
    judges, contests, of_arms = _judges(view), _contests(view), arm_pairs(view)
    shown = []
    for item in list(order)[:MOST]:
        rows = {arm: texts.get(cell, {}).get(item) for arm, cell in cells.items()}
        known = {arm: row for arm, row in rows.items() if row is not None}
        prompt = str(next(iter(known.values())).get("prompt", ""))
        replies = tuple(
            _reply(arm, view.items.get(cells[arm], {}), judges.get(cells[arm], {}), item, row)
            for arm, row in known.items()
        )
        replies = (*_of_the_data(pairs.get(item), prompt), *replies)
        shown.append(Exchange(item, prompt, replies, _outcomes(view, contests, of_arms, cells, item)))
    return tuple(shown)


def _of_the_data(pair: Pair | None, prompt: str) -> tuple[Reply, ...]:
    """Benchmarks may number prompts of their own alike, so that the prompt decides."""
    if pair is None or pair.prompt[-1]["content"] not in prompt:
        return ()
    return Reply("chosen (data)", pair.chosen), Reply("rejected (data)", pair.rejected)


def _judges(view: ComparisonView) -> dict[str, dict[str, str]]:
    """Cell key -> metric -> who judged."""
    by_cell: dict[str, dict[str, str]] = {}
    for (cell, metric), (_, score) in view.written.items():
        if "judge" in score.settings:
            by_cell.setdefault(cell, {})[metric] = str(score.settings["judge"])
    return by_cell


def _contests(view: ComparisonView) -> list[tuple[str, bool, str | None]]:
    """Metrics that have a direction: name, whether higher is better, and the rival of a win rate."""
    directed = [(metric, view.higher_is_better(metric)) for metric in view.metrics()]
    return [(metric, higher, view.rival_of(metric)) for metric, higher in directed if higher is not None]


def _reply(
    arm: str,
    tables: Mapping[str, Mapping[str, float]],
    judges: Mapping[str, str],
    item: str,
    row: Mapping[str, Any],
) -> Reply:
    marks = {metric: table[item] for metric, table in tables.items() if item in table}
    judged = sorted({judges[metric] for metric in marks if metric in judges})
    judgment = row.get("judgment")
    return Reply(
        arm,
        str(row.get("answer", "")),
        tuple(marks.items()),
        ", ".join(judged) or None,
        None if judgment is None else str(judgment),
    )


def _outcomes(
    view: ComparisonView,
    contests: Sequence[tuple[str, bool, str | None]],
    pairs: Sequence[tuple[str, str]],
    cells: Mapping[str, str],
    item: str,
) -> tuple[tuple[str, str], ...]:
    """`a against b by metric` -> won, lost or tied."""
    outcomes = {}
    for metric, higher, rival in contests:
        for a, b in pairs:
            left = view.items.get(cells[a], {}).get(metric, {}).get(item)
            right = view.items.get(cells[b], {}).get(metric, {}).get(item)
            if rival is not None:
                right = view.against_itself(metric) if rival == b else None
            if left is not None and right is not None:
                ahead = left > right if higher else left < right
                word = "tied" if left == right else "won" if ahead else "lost"
                outcomes[f"{a} against {b} by {metric}"] = word
    return tuple(outcomes.items())
