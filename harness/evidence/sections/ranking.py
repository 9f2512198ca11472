"""More than two arms on one scale: Bradley and Terry's model of the judged pairs."""

from __future__ import annotations

from typing import Any

import numpy as np

from harness.evidence.view import ComparisonView
from harness.tables import Cell, Table

RESAMPLES, SEED, FEWEST_PROMPTS = 200, 19_520_101, 20
Triple = tuple[str, str, str]
"""An arm, its rival, and who was preferred: `first`, `second` or `draw`."""


def ranking_table(view: ComparisonView) -> Table | None:
    """Chance of each arm to be preferred to the baseline; None for fewer than three judged arms."""
    prompts, triples = _judgments(view)
    arms = list(dict.fromkeys(name for triple in triples for name in triple[:2]))
    if len(arms) < 3 or view.baseline not in arms or len(prompts) < FEWEST_PROMPTS:
        return None
    counts = np.array([[prompt.get(triple, 0) for triple in triples] for prompt in prompts], dtype=float)
    whole = _chances(triples, counts.sum(axis=0), view.baseline)
    if whole is None:
        return None
    rng = np.random.default_rng(SEED)
    times = rng.multinomial(len(prompts), np.full(len(prompts), 1 / len(prompts)), RESAMPLES)
    drawn = [_chances(triples, row @ counts, view.baseline) for row in times]
    known = [one for one in drawn if one is not None]
    rows = []
    for arm in sorted(arms, key=lambda name: -whole[name]):
        spread = [one[arm] for one in known]
        low, high = np.quantile(spread, [0.025, 0.975]) if len(known) == RESAMPLES else (None, None)
        sources = tuple(d for m in _metrics(view) for d in view.score_sources(arm, m))
        rows.append(
            (
                Cell(arm),
                Cell(
                    whole[arm],
                    "percent",
                    None if low is None or arm == view.baseline else float(low),
                    None if high is None or arm == view.baseline else float(high),
                    1,
                    sources=tuple(dict.fromkeys(sources)),
                ),
                Cell(int(counts.sum()), "count"),
            )
        )
    note = (
        f"Bradley-Terry model (Bradley and Terry 1952; evalica) of every judged pair, draws half to each; "
        f"50% is {view.baseline}. Intervals: bootstrap over {len(prompts):,} prompts with refit, about the "
        "population of prompts at these seeds."
    )
    columns = ("arm", f"preferred to {view.baseline}", "judged pairs")
    return Table("ranking", "Ranking by judged pairs", columns, tuple(rows), (note,))


def _metrics(view: ComparisonView) -> list[str]:
    """The win rates of one judge against arms: those of the benchmark that was scored first."""
    found = [m for m in view.metrics() if m.rpartition(".")[2].startswith("win_rate")]
    kept = [m for m in found if view.rival_of(m) in (*view.arms, "base")]
    return [m for m in kept if m.rpartition(".")[0] == kept[0].rpartition(".")[0]]


def _judgments(view: ComparisonView) -> tuple[list[dict[Triple, int]], list[Triple]]:
    """Counts of triples by prompt, and the triples that occur."""
    by_prompt: dict[str, dict[Triple, int]] = {}
    for metric in _metrics(view):
        rival = str(view.rival_of(metric))
        for cell, tables in view.items.items():
            arm = cell.partition("@")[0]
            for item, value in tables.get(metric, {}).items() if arm != rival else ():
                word = "draw" if value == 0.5 else "first" if value > 0.5 else "second"
                counts = by_prompt.setdefault(item, {})
                counts[arm, rival, word] = counts.get((arm, rival, word), 0) + 1
    prompts = [by_prompt[item] for item in sorted(by_prompt)]
    return prompts, sorted({triple for prompt in prompts for triple in prompt})


def _chances(triples: list[Triple], weights: np.ndarray[Any, Any], baseline: str) -> dict[str, float] | None:
    """Each arm's chance against the baseline; None where the model has no finite solution."""
    import evalica

    winners = {"first": evalica.Winner.X, "second": evalica.Winner.Y, "draw": evalica.Winner.Draw}
    found = evalica.bradley_terry(
        [a for a, _, _ in triples],
        [b for _, b, _ in triples],
        [winners[word] for _, _, word in triples],
        weights=[float(w) for w in weights],
        limit=10_000,
    )
    scores = {str(name): float(value) for name, value in found.scores.items()}
    own = scores[baseline]
    if found.iterations >= found.limit or not all(np.isfinite(v) and v > 0 for v in scores.values()):
        return None
    return {name: value / (value + own) for name, value in scores.items()}
