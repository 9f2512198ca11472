"""AlpacaEval's own files: `model_outputs.json` and `annotations.json`, as arms that were judged already."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

from harness.benchmarks._clusters import shared
from harness.data.schemas import digest
from harness.errors import UserError

ANNOTATIONS, OUTPUTS = "annotations.json", "model_outputs.json"
TIE = 0
"""What alpaca_eval wrote for a tie before it wrote 1.5."""
Rows = list[dict[str, Any]]


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
    for row, cluster in zip(rows, shared([str(row["instruction"]) for row in rows]), strict=True):
        name = digest(str(row["instruction"]))
        seen[name] += 1
        win = _win(row.get("preference"), swapped)
        mine, theirs = ("output_1", "output_2") if swapped else ("output_2", "output_1")
        items.append(
            {
                "id": f"{name}-{seen[name]}",
                "metrics": {"win_rate": win, "length_difference": len(row[mine]) - len(row[theirs])},
                "prompt": row["instruction"],
                "answer": row[mine],
                "rival_answer": row[theirs],
                "dataset": row.get("dataset"),
                **cluster,
            }
        )
    return items, _settings(rows, swapped)


def _rows(path: Path) -> Rows:
    try:
        rows = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(
            f"cannot be read ({error})", where=str(path), remedy="give AlpacaEval's file"
        ) from None
    needed = ("instruction", "output_1", "output_2", "preference")
    if not isinstance(rows, list) or not rows:
        raise UserError("holds no annotations", where=str(path), remedy="give AlpacaEval's annotations.json")
    for number, row in enumerate(rows):
        missing = [key for key in needed if not isinstance(row, dict) or key not in row]
        if missing:
            raise UserError(
                f"annotation {number} has no {missing[0]}",
                where=str(path),
                remedy="give AlpacaEval's annotations.json",
            )
    return rows


def _check_coding(rows: Rows, path: Path) -> None:
    """Raise UserError unless all preferences are 1 to 2, with alpaca_eval's old 0 for a tie beside them.

    A file of 0 and 1 alone may mean ties and first places, or losses and wins: it is refused.
    """
    readable = {number: row["preference"] for number, row in enumerate(rows) if _is_read(row["preference"])}
    judge = ", ".join(sorted({str(row.get("annotator") or "unknown") for row in rows}))
    for number, preference in readable.items():
        if not isinstance(preference, int | float) or not (preference == TIE or 1 <= preference <= 2):
            raise UserError(
                f"annotation {number} by {judge} has preference {preference!r}, which is not between 1 and 2",
                where=str(path),
                remedy="write 1 where output_1 is better, 2 where output_2 is, 1.5 for a tie",
            )
    if TIE in readable.values() and max(readable.values()) <= 1:
        raise UserError(
            f"annotations by {judge} hold the preferences 0 and 1 alone, which may be ties and firsts or "
            "losses and wins",
            where=str(path),
            remedy="write 1 where output_1 is better, 2 where output_2 is, 1.5 for a tie",
        )


def _is_read(preference: Any) -> bool:
    return preference is not None and preference == preference


def _sides(rows: Rows, arm: str, path: Path) -> bool:
    """Whether the arm's answers are the first ones; AlpacaEval writes them second."""
    firsts, seconds = ({row.get(f"generator_{k}") for row in rows} for k in (1, 2))
    if len(firsts) > 1 or len(seconds) > 1:
        raise UserError(
            "compares more than two generators",
            where=str(path),
            remedy="give one file for each arm against one reference",
        )
    return arm in firsts and arm not in seconds


def _win(preference: Any, swapped: bool) -> float | None:
    """The arm's part of the preference: 0 lost, 1 won. AlpacaEval also wrote 0 for a tie."""
    if not _is_read(preference):
        return None
    if preference == TIE:
        return 0.5
    return 2 - float(preference) if swapped else float(preference) - 1


def _settings(rows: Rows, swapped: bool) -> dict[str, Any]:
    rival = str(rows[0].get("generator_2" if swapped else "generator_1") or "reference")
    judges = sorted({str(row.get("annotator") or "unknown") for row in rows})
    prices = [
        row["price_per_example"] for row in rows if isinstance(row.get("price_per_example"), int | float)
    ]
    return {
        "judge": ", ".join(judges),
        "rival": rival,
        "orders": "as published",
        "judgments": len(rows),
        "parse_failures": sum(_win(row.get("preference"), swapped) is None for row in rows),
        "money": sum(prices) if len(prices) == len(rows) else None,
        "replayed": True,
    }
