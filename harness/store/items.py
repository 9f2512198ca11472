"""What a comparison's stages keep item by item: steps, scores, answers, held-out pairs."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from harness.data.files import short
from harness.data.schemas import Pair
from harness.errors import UserError
from harness.jsonl import read_jsonl
from harness.records import ComparisonRecord, Score, StageResult
from harness.store.run_dir import RunRoot, scores_by_cell


class ScoredItems(NamedTuple):
    """What was scored of items, a metric being `benchmark.metric`.

    `values` by cell, metric and item. `unread` by cell and metric: items that were asked and have no value.
    `clusters` by metric and item: what several share, the question of two turns or the prompt of two pairs.
    """

    values: dict[str, dict[str, dict[str, float]]]
    unread: dict[str, dict[str, set[str]]]
    clusters: dict[str, dict[str, str]]


def read_series(root: RunRoot, record: ComparisonRecord) -> dict[str, list[dict[str, Any]]]:
    """Rows of `steps.jsonl` by stage digest."""
    return {
        digest: _steps(root, result) for digest, result in record.results.items() if "steps" in result.outputs
    }


def _steps(root: RunRoot, result: StageResult) -> list[dict[str, Any]]:
    """A training stage's rows; raises UserError where it made steps and none are left."""
    file, made = result.outputs["steps"], result.measured("steps")
    rows = _rows(root, result, file, _is_step)
    if not rows and made is not None and made.value:
        raise _unlike(root, result, file, f"has none of {made.value:,} steps")
    return rows


def read_items(root: RunRoot, record: ComparisonRecord) -> ScoredItems:
    """What was scored of every item, each file read once."""
    scored = ScoredItems({}, {}, {})
    for cell, digest, score, rows in _scored(root, record):
        metric = f"{score.benchmark}.{score.metric}"
        values = {row["id"]: row["metrics"][score.metric] for row in rows if score.metric in row["metrics"]}
        unread = {item for item, value in values.items() if value is None}
        scored.values.setdefault(cell, {}).setdefault(metric, {}).update(
            {item: float(value) for item, value in values.items() if value is not None}
        )
        _refuse_others(root, record, digest, score, values)
        if unread:
            scored.unread.setdefault(cell, {}).setdefault(metric, set()).update(unread)
        shared = {row["id"]: str(row["cluster"]) for row in rows if row.get("cluster") is not None}
        if shared:
            scored.clusters.setdefault(metric, {}).update(shared)
    return scored


def _refuse_others(
    root: RunRoot, record: ComparisonRecord, digest: str, score: Score, values: dict[str, Any]
) -> None:
    """Raise UserError where fewer items have a value than the score was made of."""
    found = sum(value is not None for value in values.values())
    if found < score.n:
        raise _unlike(
            root, record.results[digest], str(score.items_file), f"has {found:,} of {score.n:,} items"
        )


def _scored(
    root: RunRoot, record: ComparisonRecord
) -> Iterator[tuple[str, str, Score, list[dict[str, Any]]]]:
    """(cell key, stage digest, score, rows of its items)."""
    # The metrics of one file stand one after the other, so the last file is all that is kept.
    last: tuple[tuple[str, str] | None, list[dict[str, Any]]] = (None, [])
    for cell, digest, score in scores_by_cell(record):
        if score.items_file is None:
            continue
        if last[0] != (digest, score.items_file):
            last = (digest, score.items_file), _rows(root, record.results[digest], score.items_file, _is_item)
        yield cell, digest, score, last[1]


def read_texts(root: RunRoot, record: ComparisonRecord, seed: int) -> dict[str, dict[str, dict[str, Any]]]:
    """Prompts and answers of one seed and of the base model: cell key -> item id -> row.

    A row has `prompt` and `answer`, and `judgment` where a judge wrote one.
    """
    texts: dict[str, dict[str, dict[str, Any]]] = {}
    read = set()
    for cell, digest, score in scores_by_cell(record):
        file = score.items_file
        if file is None or (cell != "base" and cell.partition("@")[2] != str(seed)):
            continue
        if (cell, digest, file) in read:
            continue
        read.add((cell, digest, file))
        for row in _rows(root, record.results[digest], file, _is_item):
            if "answer" in row:
                kept = texts.setdefault(cell, {}).setdefault(row["id"], {})
                kept |= {key: row[key] for key in ("prompt", "answer", "judgment") if key in row}
    return texts


def read_test_pairs(root: RunRoot, record: ComparisonRecord) -> dict[str, Pair]:
    """The held-out pairs by id; none where nothing was prepared, or the prepared data are gone."""
    import pyarrow.parquet

    path = root.folder_of(record.results[record.plan.prepare]) / "test.parquet"
    if not path.is_file():
        return {}
    columns = ["id", "prompt", "chosen", "rejected"]
    rows = pyarrow.parquet.read_table(path, columns=columns).to_pylist()
    return {r["id"]: Pair(r["id"], json.loads(r["prompt"]), r["chosen"], r["rejected"]) for r in rows}


def _rows(
    root: RunRoot, result: StageResult, file: str, is_row: Callable[[Any], bool]
) -> list[dict[str, Any]]:
    """Rows of a stage's file; raises UserError where it is gone, or not as a stage writes it."""
    path = root.folder_of(result) / file
    try:
        rows = read_jsonl(path)
    except FileNotFoundError:
        raise UserError(
            f"{file} of stage {result.name} is gone", where=str(path), remedy="run the comparison again"
        ) from None
    except (OSError, ValueError, RecursionError) as error:
        raise _unlike(root, result, file, f"cannot be read ({short(error)})") from None
    wrong = next((number for number, row in enumerate(rows, 1) if not is_row(row)), None)
    if wrong is not None:
        raise _unlike(root, result, file, f"is not as a stage writes it in line {wrong}")
    return rows


def _unlike(root: RunRoot, result: StageResult, file: str, what: str) -> UserError:
    return UserError(
        f"{file} of stage {result.name} {what}",
        where=str(root.folder_of(result) / file),
        remedy=f"run the comparison again with --again {result.name}",
    )


def _is_step(row: Any) -> bool:
    return isinstance(row, dict) and type(row.get("step")) is int and _are_numbers(row.get("metrics"))


def _is_item(row: Any) -> bool:
    known = isinstance(row, dict) and isinstance(row.get("id"), str) and _are_numbers(row.get("metrics"))
    # A loss may be no number, and then its stage diverged; what an item is worth never is.
    return known and all(value is None or math.isfinite(value) for value in row["metrics"].values())


def _are_numbers(metrics: Any) -> bool:
    return isinstance(metrics, dict) and all(
        value is None or isinstance(value, int | float) for value in metrics.values()
    )
