"""Benchmarks, one file each.

`Config` and `check(config, context)` always; `prompts` for what each cell must answer;
`score_model` with the model at hand; `score_answers` of one cell; `score_cells` of all of them.
`pairs_to_score` stands beside a `score_model` that scores log-probs of pairs. `files(config)` names the
files, folders and hub repositories that the settings name, so that a change of their contents scores again.
A judge is named by `judge` with its settings in `judge_config`; its files are the judge's own business.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, cast, runtime_checkable

from harness import registry
from harness.generate import Answer, LoadedModel, Prompt
from harness.jsonl import write_jsonl
from harness.pipeline.spec_model import SpecModel
from harness.records import Score

UNREADABLE = "the judge's answers could not be read"


@dataclass(frozen=True)
class CheckContext:
    """What a benchmark may look at before anything is trained."""

    prepared: Path
    model: str
    random_weights: bool
    arms: tuple[str, ...] = ()


@runtime_checkable
class Benchmark(Protocol):
    """What every benchmark's module has; `check` raises UserError for what would fail later."""

    Config: type[SpecModel]

    def check(self, config: SpecModel, context: CheckContext) -> None: ...


@runtime_checkable
class AsksPrompts(Protocol):
    """A benchmark whose prompts each cell answers."""

    def prompts(self, config: SpecModel, prepared: Path) -> list[Prompt]: ...


@runtime_checkable
class ScoresModel(Protocol):
    """A benchmark that needs the model at hand."""

    def score_model(
        self, config: SpecModel, model: LoadedModel, prepared: Path, out: Path
    ) -> list[Score]: ...


@runtime_checkable
class ScoresPairs(Protocol):
    """One that scores log-probs of pairs, and says of which (`prompt_ids`, `chosen_ids`, `rejected_ids`), so
    many sequences a batch: what that takes can be foretold."""

    def pairs_to_score(self, config: SpecModel, prepared: Path) -> tuple[list[dict[str, Any]], int]: ...


@runtime_checkable
class ScoresAnswers(Protocol):
    """A benchmark that scores one cell's answers by themselves."""

    def score_answers(
        self, config: SpecModel, answers: list[Answer], prepared: Path, out: Path
    ) -> list[Score]: ...


@runtime_checkable
class ComparesCells(Protocol):
    """A benchmark that scores cells against each other; `cells` by cell key (`arm@seed`, `base`)."""

    def score_cells(
        self,
        config: SpecModel,
        cells: Mapping[str, list[Answer]],
        prepared: Path,
        out: Path,
        *,
        baseline: str,
        progress: Callable[[int, int, dict[str, float]], None],
    ) -> Mapping[str, list[Score]]: ...


@runtime_checkable
class ReadsResults(Protocol):
    """A benchmark that scores published results: scores by arm or cell of what lies in a folder."""

    def replay(self, folder: Path, out: Path) -> Mapping[str, list[Score]]: ...


def load_benchmark(name: str, *, where: str | None = None) -> Benchmark:
    """The benchmark called `name`; raises UserError for an unknown one."""
    return cast(Benchmark, registry.load("benchmarks", name, where=where))


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


def test_prompts(prepared: Path, benchmark: str, limit: int | None) -> list[Prompt]:
    """One prompt for each distinct conversation of the test split, in its order."""
    prompt_by_conversation: dict[str, Prompt] = {}
    for row in read_prepared_test(prepared):
        if row["prompt"] not in prompt_by_conversation:
            prompt_by_conversation[row["prompt"]] = Prompt(
                id=row["id"],
                benchmark=benchmark,
                messages=json.loads(row["prompt"]),
                reference=row["chosen"],
            )
    prompts = list(prompt_by_conversation.values())
    return prompts if limit is None else prompts[:limit]
