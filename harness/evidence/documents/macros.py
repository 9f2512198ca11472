"""Figures by name, for prose: `\\orpoTimeRatio` in LaTeX, and nothing to copy by hand."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence

from harness.evidence.answers import Answer
from harness.evidence.cells import difference_cell
from harness.evidence.documents.paper_columns import Column, cell_of, column_of, display_names
from harness.evidence.findings import Findings
from harness.evidence.view import BASE
from harness.tables import Cell, Macro

_DIGITS = ("Zero", "One", "Two", "Three", "Four", "Five", "Six", "Seven", "Eight", "Nine")


def macros(found: Sequence[Findings], columns: Mapping[str, Column]) -> tuple[Macro, ...]:
    """Every run's figures; those of several begin with `runA`, `runB` and so on, in their order."""
    listed = []
    for place, one in enumerate(found):
        run = () if len(found) == 1 else (f"run_{_letters(place)}",)
        listed += [Macro(name_of(*run, *words), cell) for words, cell in _of_run(one, columns)]
    return tuple({macro.name: macro for macro in listed}.values())


def _of_run(found: Findings, columns: Mapping[str, Column]) -> list[tuple[tuple[str, ...], Cell]]:
    """The run itself, every column of every arm, verdicts on registered questions; by the words of a name."""
    view = found.view
    names = display_names(view)
    listed: list[tuple[tuple[str, ...], Cell]] = [*_facts(found)]
    for arm in (*view.arms, BASE):
        listed.append(((arm, "name"), Cell(names[arm])))
        for column in columns.values():
            cell = cell_of(view, arm, column)
            if arm != BASE or cell.value is not None:
                listed.append(((arm, column.name), cell))
    return listed + _answers(found.answers, columns)


def _facts(found: Findings) -> list[tuple[tuple[str, ...], Cell]]:
    """Run id and counts, and the two arms that the comparison is about."""
    view, pair, names = found.view, found.primary, display_names(found.view)
    listed: list[tuple[tuple[str, ...], Cell]] = [
        (("run_id",), Cell(view.record.id)),
        (("seed_count",), Cell(len(view.seeds), "count")),
    ]
    if not view.replayed:
        listed += [
            (("train_pairs",), Cell(view.prepared.train_pairs, "count")),
            (("test_pairs",), Cell(view.prepared.test_pairs, "count")),
        ]
    if pair is not None:
        listed += [(("primary_arm",), Cell(names[pair.a])), (("primary_rival",), Cell(names[pair.b]))]
    return listed


def _answers(answers: Sequence[Answer], columns: Mapping[str, Column]) -> list[tuple[tuple[str, ...], Cell]]:
    """Effect and verdict in a word; where an arm was held against several, with the name of each."""
    about = Counter((one.a, one.quantity) for one in answers)
    listed: list[tuple[tuple[str, ...], Cell]] = []
    for one in answers:
        against = () if about[one.a, one.quantity] == 1 else ("vs", one.b)
        words = (one.a, column_of(columns, one.quantity).name, *against)
        effect = difference_cell(one.quantity, one.estimate, one.sources)
        verdict = Cell(one.verdict.outcome.value, sources=one.sources)
        listed += [((*words, "effect"), effect), ((*words, "verdict"), verdict)]
    return listed


def _letters(place: int) -> str:
    """`a`, `b` ... `z`, `aa`."""
    above, rest = divmod(place, 26)
    return (_letters(above - 1) if above else "") + chr(ord("a") + rest)


def name_of(*parts: str) -> str:
    """Letters alone, as TeX wants them: `sft_simpo`, `time` -> `sftSimpoTime`; digits are spelled."""
    words = [word for part in parts for word in re.split(r"[^A-Za-z0-9]+", part) if word]
    joined = "".join(word[0].upper() + word[1:] for word in words)
    spelled = "".join(_DIGITS[int(c)] if c.isdigit() else c for c in joined)
    return spelled[0].lower() + spelled[1:]
