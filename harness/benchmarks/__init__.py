"""Benchmarks, one file each.

`Config` and `check(config, context)` always; `prompts` for what each cell must answer;
`score_model` with the model at hand; `score_answers` of one cell; `score_cells` of all of them.
`files(config)` names the files, folders and hub repositories that the settings name, so that a change
of their contents scores again. A judge is named by `judge` with its settings in `judge_config`; its files
are the judge's own business.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.jsonl import write_jsonl
from harness.records import Score

UNREADABLE = "the judge's answers could not be read"


@dataclass(frozen=True)
class CheckContext:
    """What a benchmark may look at before anything is trained."""

    prepared: Path
    model: str
    random_weights: bool
    arms: tuple[str, ...] = ()


def scores_of_items(
    benchmark: str,
    items: list[dict[str, Any]],
    out: Path,
    *,
    file: str | None = None,
    settings: dict[str, Any] | None = None,
    lower_is_better: Iterable[str] = (),
    neutral: Iterable[str] = (),
    absent: str = "no item has a value",
) -> list[Score]:
    """Write `items` (`id`, `metrics`, more) and return each metric's mean over them.

    Metrics are better when higher, but for those in `lower_is_better`, and those in `neutral`, of
    which neither direction is better. A metric without any value is absent for the reason `absent`.
    """
    lower, neither = set(lower_is_better), set(neutral)
    name = f"scores/{file or benchmark}.jsonl"
    write_jsonl(out / name, items)
    metrics: dict[str, list[float]] = {}
    for item in items:
        for metric, value in item["metrics"].items():
            metrics.setdefault(metric, []).extend([] if value is None else [float(value)])
    return [
        Score(
            benchmark=benchmark,
            metric=metric,
            estimate=sum(values) / len(values) if values else None,
            n=len(values),
            higher_is_better=None if metric in neither else metric not in lower,
            items_file=name,
            settings=settings or {},
            reason=None if values else absent,
        )
        for metric, values in metrics.items()
    ]


def read_prepared_test(prepared: Path, limit: int | None = None) -> list[dict[str, Any]]:
    """Rows of the prepared test split."""
    import pyarrow.parquet

    rows: list[dict[str, Any]] = pyarrow.parquet.read_table(prepared / "test.parquet").to_pylist()
    return rows if limit is None else rows[:limit]
