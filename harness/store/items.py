"""What a comparison's stages keep item by item: steps, scores, answers, held-out pairs."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, NamedTuple

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
        digest: read_jsonl(root.folder_of(result) / result.outputs["steps"])
        for digest, result in record.results.items()
        if "steps" in result.outputs
    }


def read_items(root: RunRoot, record: ComparisonRecord) -> ScoredItems:
    """What was scored of every item, each file read once."""
    scored = ScoredItems({}, {}, {})
    for cell, score, rows in _scored(root, record):
        metric = f"{score.benchmark}.{score.metric}"
        values = {row["id"]: row["metrics"][score.metric] for row in rows if score.metric in row["metrics"]}
        unread = {item for item, value in values.items() if value is None}
        scored.values.setdefault(cell, {}).setdefault(metric, {}).update(
            {item: float(value) for item, value in values.items() if value is not None}
        )
        if unread:
            scored.unread.setdefault(cell, {}).setdefault(metric, set()).update(unread)
        shared = {row["id"]: str(row["cluster"]) for row in rows if row.get("cluster") is not None}
        if shared:
            scored.clusters.setdefault(metric, {}).update(shared)
    return scored


def _scored(root: RunRoot, record: ComparisonRecord) -> Iterator[tuple[str, Score, list[dict[str, Any]]]]:
    """(cell key, score, rows of its items)."""
    # The metrics of one file stand one after the other, so the last file is all that is kept.
    last: tuple[tuple[str, str] | None, list[dict[str, Any]]] = (None, [])
    for cell, digest, score in scores_by_cell(record):
        if score.items_file is None:
            continue
        if last[0] != (digest, score.items_file):
            last = (digest, score.items_file), _rows(root, record.results[digest], score.items_file)
        yield cell, score, last[1]


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
        for row in _rows(root, record.results[digest], file):
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


def _rows(root: RunRoot, result: StageResult, file: str) -> list[dict[str, Any]]:
    path = root.folder_of(result) / file
    try:
        return read_jsonl(path)
    except FileNotFoundError:
        raise UserError(
            "items of a score are gone", where=str(path), remedy="run the comparison again"
        ) from None
