"""lm-eval's samples as items: what can be kept of each document, and what cannot, by name."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

Item = dict[str, Any]
Sample = Mapping[str, Any]
GROUP_KEYS = ("cluster", "group", "group_id", "source_id")
"""Fields by which documents say that they belong together (HellaSwag's `source_id` names the video)."""
NO_NUMBER = "its values are neither numbers nor lists of numbers"
NO_FIGURE = "its values are lists, and lm-eval reports no figure to check their mean by"
ANOTHER_FIGURE = "lm-eval's figure is not the mean of its values, so no value belongs to a document"


@dataclass(frozen=True)
class TaskItems:
    """A task's rows (`id`, `metrics`, `doc_id`, maybe `cluster`); `left_out` says why by metric."""

    rows: list[Item]
    left_out: dict[str, str]
    documents: int


def figures_of(results: Mapping[str, Any]) -> dict[str, float]:
    """lm-eval's own figures of a task by `metric,filter`, and by the metric alone."""
    numbers = {name: value for name, value in results.items() if isinstance(value, int | float)}
    whole = {name: float(value) for name, value in numbers.items() if math.isfinite(value)}
    return {name.partition(",")[0]: value for name, value in whole.items()} | whole


def items_of(samples: Sequence[Sample], figures: Mapping[str, float]) -> TaskItems:
    """One row a document, and one for each value of a metric that has a list of them (IFEval's instructions).

    The values of a list are a cluster, so that their mean is lm-eval's own, over all values alike, and an
    analysis still knows what belongs together. A metric is kept where the mean over its rows is lm-eval's
    figure (`figures`); perplexities, F1 over all documents and the like are left out, with the reason. A
    metric that several filters read is named with each.
    """
    rows: dict[str, Item] = {}
    documents: set[str] = set()
    lists: set[str] = set()
    unread: set[str] = set()
    for document, tail, sample in _identified(samples):
        documents.add(document)
        row = rows.setdefault(document, _row(document, sample, _group(sample)))
        for metric in sample.get("metrics", []):
            name, value = f"{metric}{tail}", _plain(sample.get(metric))
            if isinstance(value, float):
                row["metrics"][name] = value
            elif isinstance(value, list):
                lists.add(name)
                for place, part in enumerate(value):
                    part_row = _row(f"{document}/{place}", sample, _group(sample) or document)
                    rows.setdefault(part_row["id"], part_row)["metrics"][name] = part
            elif value is not None:
                unread.add(name)
    left_out = dict.fromkeys(sorted(unread), NO_NUMBER) | _unlike(rows.values(), figures, lists)
    kept = [_without(row, left_out) for row in rows.values()]
    shown = [row for row in kept if row["metrics"] or row["id"] in documents]
    return TaskItems(shown, left_out, len(documents))


def _identified(samples: Sequence[Sample]) -> Iterator[tuple[str, str, Sample]]:
    """(document, ending of its metrics' names, sample), filter by filter.

    Documents are known by what was asked: `doc_hash`, `prompt_hash`, `target_hash`, and a number where all
    three are equal.
    """
    filters = list(dict.fromkeys(str(sample.get("filter", "none")) for sample in samples))
    for name in filters:
        seen: Counter[str] = Counter()
        tail = f",{name}" if len(filters) > 1 else ""
        for sample in (s for s in samples if str(s.get("filter", "none")) == name):
            identity = "-".join(str(sample[h])[:12] for h in ("doc_hash", "prompt_hash", "target_hash"))
            seen[identity] += 1
            yield f"{identity}-{seen[identity]}", tail, sample


def _unlike(rows: Iterable[Item], figures: Mapping[str, float], lists: set[str]) -> dict[str, str]:
    """Metric -> why its values do not make up lm-eval's figure."""
    values: dict[str, list[float]] = {}
    for row in rows:
        for metric, value in row["metrics"].items():
            values.setdefault(metric, []).append(value)
    reasons = {}
    for metric, known in values.items():
        figure = figures.get(metric)
        if figure is None and metric in lists:
            reasons[metric] = NO_FIGURE
        elif figure is not None and not math.isclose(fmean(known), figure, rel_tol=1e-6, abs_tol=1e-9):
            reasons[metric] = ANOTHER_FIGURE
    return reasons


def _without(row: Item, left_out: Mapping[str, str]) -> Item:
    return {**row, "metrics": {name: v for name, v in row["metrics"].items() if name not in left_out}}


def _row(name: str, sample: Sample, cluster: str | None) -> Item:
    row: Item = {"id": name, "metrics": {}, "doc_id": sample["doc_id"]}
    return row if cluster is None else row | {"cluster": cluster}


def _group(sample: Sample) -> str | None:
    """What a document says that it shares with others."""
    document = sample.get("doc")
    fields = document if isinstance(document, dict) else {}
    return next((str(fields[key]) for key in GROUP_KEYS if fields.get(key) not in (None, "")), None)


def _plain(value: Any) -> float | list[float] | str | None:
    """A number, a list of numbers, None where there is no finite value, or text for all else; numpy's too."""
    if hasattr(value, "tolist"):
        value = value.tolist()
    if isinstance(value, int | float):
        return float(value) if math.isfinite(value) else None
    if isinstance(value, list | tuple):
        parts = [_plain(part) for part in value]
        numbers = [part for part in parts if isinstance(part, float)]
        return numbers if len(numbers) == len(parts) else str(value)
    return None if value is None else str(value)
