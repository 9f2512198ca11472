"""More than two arms on one scale, from judged pairs."""

from __future__ import annotations

from harness.evidence.statistics.bradley_terry import Triple, ranked
from harness.evidence.view import BASE, ComparisonView
from harness.quantities import is_win_rate
from harness.tables import Cell, Table

FEWEST_PROMPTS = 20


def ranking_table(view: ComparisonView) -> Table | None:
    """Chance of each arm to be preferred to the baseline; None for fewer than three judged arms."""
    prompts = _judgments(view)
    arms = {name for prompt in prompts for triple in prompt for name in triple[:2]}
    if len(arms) < 3 or view.baseline not in arms or len(prompts) < FEWEST_PROMPTS:
        return None
    chances = ranked(prompts, view.baseline)
    if chances is None:
        return None
    judged = sum(count for prompt in prompts for count in prompt.values())
    rows = []
    for arm, chance in chances.items():
        sources = dict.fromkeys(d for metric in _win_rates(view) for d in view.score_sources(arm, metric))
        rows.append(
            (
                Cell(arm),
                Cell(chance.value, "percent", chance.low, chance.high, 1, sources=tuple(sources)),
                Cell(judged, "count"),
            )
        )
    note = (
        f"Bradley-Terry model (Bradley and Terry 1952; evalica) of every judged pair, draws half to each; "
        f"50% is {view.baseline}. Intervals: bootstrap over {len(prompts):,} prompts with refit, about the "
        "population of prompts at these seeds."
    )
    columns = ("arm", f"preferred to {view.baseline}", "judged pairs")
    return Table("ranking", "Ranking by judged pairs", columns, tuple(rows), (note,))


def _win_rates(view: ComparisonView) -> list[str]:
    """Those of one judge against arms: of the benchmark that was scored first."""
    kept = [m for m in view.metrics() if is_win_rate(m) and view.rival_of(m) in (*view.arms, BASE)]
    return [m for m in kept if m.rpartition(".")[0] == kept[0].rpartition(".")[0]]


def _judgments(view: ComparisonView) -> list[dict[Triple, int]]:
    """Counts of triples, a prompt each."""
    by_prompt: dict[str, dict[Triple, int]] = {}
    for metric in _win_rates(view):
        rival = str(view.rival_of(metric))
        for cell, tables in view.items.items():
            arm = cell.partition("@")[0]
            for item, value in tables.get(metric, {}).items() if arm != rival else ():
                word = "draw" if value == 0.5 else "first" if value > 0.5 else "second"
                counts = by_prompt.setdefault(item, {})
                counts[arm, rival, word] = counts.get((arm, rival, word), 0) + 1
    return [by_prompt[item] for item in sorted(by_prompt)]
