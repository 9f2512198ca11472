"""Figures by name, for prose: `\\orpoTimeRatio` in LaTeX, and nothing to copy by hand."""

from __future__ import annotations

import re

from harness.evidence.answers import answers
from harness.evidence.cells import estimate_cell
from harness.evidence.costs import arm_cost, cost_ratio
from harness.evidence.sections.quality import score_cell
from harness.evidence.view import ComparisonView
from harness.tables import Cell, CellKind, Macro

COSTS: tuple[tuple[str, str, CellKind], ...] = (
    ("wall_seconds", "Time", "seconds"),
    ("peak_memory_bytes", "Memory", "bytes"),
    ("flops", "Flops", "flops"),
    ("energy_joules", "Energy", "joules"),
)
_DIGITS = ("Zero", "One", "Two", "Three", "Four", "Five", "Six", "Seven", "Eight", "Nine")


def macros(view: ComparisonView) -> tuple[Macro, ...]:
    """Costs and ratios of every arm, its scores, verdicts on registered questions, and the run itself."""
    found = [
        Macro("runId", Cell(view.record.id)),
        Macro("seedCount", Cell(len(view.seeds), "count")),
    ]
    if not view.replayed:
        found += [
            Macro("trainPairs", Cell(view.prepared.train_pairs, "count")),
            Macro("testPairs", Cell(view.prepared.test_pairs, "count")),
        ]
    for arm in view.arms:
        if not view.replayed:
            found += _costs(view, arm)
        for metric in view.metrics():
            found.append(Macro(name_of(arm, metric), score_cell(view, arm, metric)))
    for one in answers(view):
        words = name_of(one.a, "against", one.b, one.quantity)
        cell = estimate_cell(one.estimate, one.sources)
        found += [Macro(words, cell), Macro(f"{words}Verdict", Cell(one.verdict, sources=one.sources))]
    return tuple({macro.name: macro for macro in found}.values())


def _costs(view: ComparisonView, arm: str) -> list[Macro]:
    found = []
    for quantity, word, kind in COSTS:
        own = arm_cost(view, arm, quantity)
        found.append(Macro(name_of(arm, word), Cell(own.value, kind, reason=own.reason, sources=own.sources)))
        if view.cost_reference in view.arms:
            whole = arm_cost(view, view.cost_reference, quantity)
            ratio = cost_ratio(view, arm, view.cost_reference, quantity)
            sources = tuple(dict.fromkeys((*own.sources, *whole.sources)))
            cell = estimate_cell(ratio, sources, digits=2)
            found.append(Macro(name_of(arm, f"{word}Ratio"), cell))
    return found


def name_of(*parts: str) -> str:
    """Letters alone, as TeX wants them: `sft_dpo`, `Time` -> `sftDpoTime`; digits are spelled."""
    words = [word for part in parts for word in re.split(r"[^A-Za-z0-9]+", part) if word]
    joined = "".join(word[0].upper() + word[1:] for word in words)
    spelled = "".join(_DIGITS[int(c)] if c.isdigit() else c for c in joined)
    return spelled[0].lower() + spelled[1:]
