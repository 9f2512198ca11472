"""Figures by name, for prose: `\\orpoTimeRatio` in LaTeX, and nothing to copy by hand."""

from __future__ import annotations

import re

from harness.evidence.answers import Answer
from harness.evidence.cells import cost_cell, difference_cell, estimate_cell, score_cell
from harness.evidence.costs import cost_ratio
from harness.evidence.findings import Findings
from harness.evidence.view import ComparisonView
from harness.quantities import COSTS
from harness.tables import Cell, Macro

_DIGITS = ("Zero", "One", "Two", "Three", "Four", "Five", "Six", "Seven", "Eight", "Nine")


def macros(findings: Findings) -> tuple[Macro, ...]:
    """The run itself, costs, ratios and scores of every arm, verdicts on registered questions."""
    view = findings.view
    listed = _run(findings)
    for arm in view.arms:
        if not view.replayed:
            listed += _costs(view, arm)
        listed += [Macro(name_of(arm, metric), score_cell(view, arm, metric)) for metric in view.metrics()]
    for one in findings.answers:
        listed += _answer(one)
    return tuple({macro.name: macro for macro in listed}.values())


def _run(findings: Findings) -> list[Macro]:
    """Run id and counts, and the two arms that the comparison is about, by their titles."""
    view, pair = findings.view, findings.primary
    listed = [Macro("runId", Cell(view.record.id)), Macro("seedCount", Cell(len(view.seeds), "count"))]
    if not view.replayed:
        listed += [
            Macro("trainPairs", Cell(view.prepared.train_pairs, "count")),
            Macro("testPairs", Cell(view.prepared.test_pairs, "count")),
        ]
    if pair is not None:
        listed += [
            Macro("primaryArm", Cell(findings.titles[pair.a])),
            Macro("primaryRival", Cell(findings.titles[pair.b])),
        ]
    return listed


def _costs(view: ComparisonView, arm: str) -> list[Macro]:
    listed = []
    for quantity in COSTS:
        cost, word = cost_cell(view, arm, quantity), quantity.word.capitalize()
        listed.append(Macro(name_of(arm, word), cost))
        if view.cost_reference in view.arms:
            reference = cost_cell(view, view.cost_reference, quantity)
            ratio = cost_ratio(view, arm, view.cost_reference, quantity)
            sources = tuple(dict.fromkeys((*cost.sources, *reference.sources)))
            listed.append(Macro(name_of(arm, f"{word}Ratio"), estimate_cell(ratio, sources, digits=2)))
    return listed


def _answer(one: Answer) -> list[Macro]:
    words = name_of(one.a, "against", one.b, one.quantity)
    return [
        Macro(words, difference_cell(one.quantity, one.estimate, one.sources)),
        Macro(f"{words}Verdict", Cell(one.verdict.text, sources=one.sources)),
    ]


def name_of(*parts: str) -> str:
    """Letters alone, as TeX wants them: `sft_simpo`, `Time` -> `sftSimpoTime`; digits are spelled."""
    words = [word for part in parts for word in re.split(r"[^A-Za-z0-9]+", part) if word]
    joined = "".join(word[0].upper() + word[1:] for word in words)
    spelled = "".join(_DIGITS[int(c)] if c.isdigit() else c for c in joined)
    return spelled[0].lower() + spelled[1:]
