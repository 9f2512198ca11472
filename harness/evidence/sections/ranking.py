"""More than two arms on one scale, from judged pairs."""

from __future__ import annotations

from collections.abc import Sequence

from harness.evidence.statistics.bradley_terry import Chance, Judgment, ranked
from harness.evidence.view import BASE, ComparisonView
from harness.quantities import is_win_rate
from harness.tables import Cell, Table

FEWEST_PROMPTS = 20


def ranking_table(view: ComparisonView) -> Table | None:
    """Chance of each arm to be preferred to the baseline; None for fewer than three judged arms."""
    judgments = _judgments(view)
    if _hindrance(view, judgments) is not None:
        return None
    prompts = len({one.cluster for one in judgments})
    rows = []
    for arm, chance in ranked(judgments, view.baseline).items():
        sources = dict.fromkeys(d for metric in _win_rates(view) for d in view.score_sources(arm, metric))
        rows.append(
            (
                Cell(arm),
                _cell(chance, tuple(sources)),
                Cell(sum(arm in (one.first, one.second) for one in judgments), "count"),
            )
        )
    note = (
        "Bradley-Terry model (Bradley and Terry 1952; evalica) of every judged pair with its weight: a tie "
        f"is half a win, a preference of 0.55 is 0.55 of one. 50% is {view.baseline}; judged pairs are those "
        f"that the arm was part of. Intervals: score test, robust to what is shared by {prompts:,} prompts, "
        "about the population of prompts at these seeds."
    )
    columns = ("arm", f"preferred to {view.baseline}", "judged pairs")
    return Table("ranking", "Ranking by judged pairs", columns, tuple(rows), (note,))


def unranked(view: ComparisonView) -> str | None:
    """Why judged arms are not ranked, in a sentence; None where they are, or where fewer than two were."""
    rates = [metric for metric in view.metrics() if is_win_rate(metric)]
    judged = [arm for arm in view.arms if any(view.item_means(arm, metric) for metric in rates)]
    why = _hindrance(view, _judgments(view)) if len(judged) > 1 else None
    return None if why is None else f"Arms are not ranked by their judged pairs: {why}."


def _hindrance(view: ComparisonView, judgments: Sequence[Judgment]) -> str | None:
    """What a ranking lacks."""
    arms = {name for one in judgments for name in (one.first, one.second)}
    prompts = len({one.cluster for one in judgments})
    if not judgments:
        rivals = dict.fromkeys(view.rival_of(m) or "others" for m in view.metrics() if is_win_rate(m))
        return f"no arm met another one, but {', '.join(rivals)} alone, so win rates say all that is known"
    if view.baseline not in arms:
        return f"none of them met {view.baseline}, which the others would be held against"
    if len(arms) < 3:
        return "fewer than 3 of them met"
    if prompts < FEWEST_PROMPTS:
        return f"{prompts} prompts were judged, and a ranking needs {FEWEST_PROMPTS}"
    return None


def _cell(chance: Chance, sources: tuple[str, ...]) -> Cell:
    if chance.value is None:
        return Cell(None, "percent", reason=chance.reason, sources=sources)
    return Cell(
        chance.value, "percent", chance.low, chance.high, 1, sources=sources, no_interval=chance.reason
    )


def _win_rates(view: ComparisonView) -> list[str]:
    """Those of one judge against arms: of the benchmark that was scored first."""
    kept = [m for m in view.metrics() if is_win_rate(m) and view.rival_of(m) in (*view.arms, BASE)]
    return [m for m in kept if m.rpartition(".")[0] == kept[0].rpartition(".")[0]]


def _judgments(view: ComparisonView) -> list[Judgment]:
    """Every judged pair once: a head-to-head against the baseline may have been scored under two names."""
    judgments: dict[tuple[str, str, str], Judgment] = {}
    for metric in _win_rates(view):
        rival, shared = str(view.rival_of(metric)), view.clusters_of(metric)
        for cell, tables in view.items.items():
            arm = cell.partition("@")[0]
            for item, won in tables.get(metric, {}).items() if arm != rival else ():
                one = Judgment(arm, rival, won, shared.get(item, item))
                judgments.setdefault((cell, rival, item), one)
    return list(judgments.values())
