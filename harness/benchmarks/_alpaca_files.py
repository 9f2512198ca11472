"""AlpacaEval's own files: `model_outputs.json` and `annotations.json`, as arms that were judged already."""

from __future__ import annotations

import math
from collections import Counter
from pathlib import Path
from typing import Any

from harness.benchmarks._clusters import shared
from harness.benchmarks._published import PublishedRow, checked_arm, checked_rows, read_json
from harness.data.schemas import digest
from harness.errors import UserError

ANNOTATIONS, OUTPUTS = "annotations.json", "model_outputs.json"
TIE = 0
"""What alpaca_eval wrote for a tie before it wrote 1.5."""
REMEDY = "give AlpacaEval's annotations.json"
CODING = "write 1 where output_1 is better, 2 where output_2 is, 1.5 for a tie"


class Annotation(PublishedRow):
    """A row of `annotations.json`; `preference` is None or NaN where it could not be read."""

    instruction: str
    output_1: str
    output_2: str
    preference: float | None
    generator_1: str | None = None
    generator_2: str | None = None
    annotator: str | None = None
    dataset: str | None = None
    price_per_example: float | None = None

    @property
    def is_read(self) -> bool:
        """Whether the judge's answer could be read."""
        return self.preference is not None and not math.isnan(self.preference)


Rows = list[Annotation]


def arms_in(folder: Path) -> dict[str, Path]:
    """Arm -> its file of annotations: `<arm>.annotations.json`, or `<arm>/.../annotations.json`.

    AlpacaEval's results lie in `<arm>/<annotator>/annotations.json`.
    """
    path_by_arm = {p.name.removesuffix(f".{ANNOTATIONS}"): p for p in sorted(folder.glob(f"*.{ANNOTATIONS}"))}
    nested = sorted([*folder.glob(f"*/{ANNOTATIONS}"), *folder.glob(f"*/*/{ANNOTATIONS}")])
    for path in nested:
        arm = path.relative_to(folder).parts[0]
        if arm in path_by_arm:
            raise UserError(
                f"arm {arm} has two files of annotations ({path_by_arm[arm]} and {path})",
                where=str(folder),
                remedy="replay one annotator at a time",
            )
        path_by_arm[arm] = path
    if (folder / ANNOTATIONS).is_file() and not path_by_arm:
        path_by_arm[folder.name] = folder / ANNOTATIONS
    for arm, path in path_by_arm.items():
        checked_arm(arm, path, "name the file or its folder by another name")
    return path_by_arm


def read_items(path: Path, arm: str) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """One item an annotated prompt, and settings that name judge and rival.

    `preference` is 1 where the rival's answer is better, 2 where the arm's is, 1.5 a tie, and
    between where the judge was weighted (alpaca_eval 0.6); what could not be read stays None. Raises
    UserError for a file that writes preferences in another way.
    """
    rows = _rows(path)
    _check_coding(rows, path)
    swapped = _sides(rows, arm, path)
    seen: Counter[str] = Counter()
    items = []
    for row, cluster in zip(rows, shared([row.instruction for row in rows]), strict=True):
        name = digest(row.instruction)
        seen[name] += 1
        mine, theirs = (row.output_1, row.output_2) if swapped else (row.output_2, row.output_1)
        items.append(
            {
                "id": f"{name}-{seen[name]}",
                "metrics": {"win_rate": _win(row, swapped), "length_difference": len(mine) - len(theirs)},
                "prompt": row.instruction,
                "answer": mine,
                "rival_answer": theirs,
                "dataset": row.dataset,
                **cluster,
            }
        )
    return items, _settings(rows, swapped)


def _rows(path: Path) -> Rows:
    found = read_json(path, REMEDY)
    if not isinstance(found, list) or not found:
        raise UserError("holds no annotations", where=str(path), remedy=REMEDY)

    def where(index: int) -> str:
        return f"{path}: annotation {index}"

    for index, row in enumerate(found):
        if not isinstance(row, dict):
            raise UserError("is no object", where=where(index), remedy=REMEDY)
    return checked_rows(Annotation, found, where)


def _check_coding(rows: Rows, path: Path) -> None:
    """Raise UserError unless all preferences are 1 to 2, with alpaca_eval's old 0 for a tie beside them.

    A file of 0 and 1 alone may mean ties and first places, or losses and wins: it is refused.
    """
    readable = {index: row.preference for index, row in enumerate(rows) if row.is_read}
    judge = _judges(rows)
    if not readable:
        raise UserError(f"no preference by {judge} could be read", where=str(path), remedy=CODING)
    for index, preference in readable.items():
        if preference is None or not (preference == TIE or 1 <= preference <= 2):
            raise UserError(
                f"preference by {judge} is {preference:g}, which is not between 1 and 2",
                where=f"{path}: annotation {index}",
                remedy=CODING,
            )
    if TIE in readable.values() and not any(p is not None and p > 1 for p in readable.values()):
        raise UserError(
            f"annotations by {judge} hold the preferences 0 and 1 alone, which may be ties and firsts or "
            "losses and wins",
            where=str(path),
            remedy=CODING,
        )


def _judges(rows: Rows) -> str:
    return ", ".join(sorted({row.annotator or "unknown" for row in rows}))


def _sides(rows: Rows, arm: str, path: Path) -> bool:
    """Whether the arm's answers are the first ones; AlpacaEval writes them second."""
    firsts, seconds = {row.generator_1 for row in rows}, {row.generator_2 for row in rows}
    if len(firsts) > 1 or len(seconds) > 1:
        raise UserError(
            "compares more than two generators",
            where=str(path),
            remedy="give one file for each arm against one reference",
        )
    return arm in firsts and arm not in seconds


def _win(row: Annotation, swapped: bool) -> float | None:
    """The arm's part of the preference: 0 lost, 1 won. AlpacaEval also wrote 0 for a tie."""
    if row.preference is None or not row.is_read:
        return None
    if row.preference == TIE:
        return 0.5
    return 2 - row.preference if swapped else row.preference - 1


def _settings(rows: Rows, swapped: bool) -> dict[str, Any]:
    rival = (rows[0].generator_2 if swapped else rows[0].generator_1) or "reference"
    prices = [row.price_per_example for row in rows if row.price_per_example is not None]
    known = len(prices) == len(rows) and all(0 <= price < math.inf for price in prices)
    return {
        "judge": _judges(rows),
        "rival": rival,
        "orders": "as published",
        "judgments": len(rows),
        "parse_failures": sum(not row.is_read for row in rows),
        "money": sum(prices) if known else None,
        "replayed": True,
    }
