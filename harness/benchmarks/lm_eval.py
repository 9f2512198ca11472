"""lm-evaluation-harness: any of its tasks and groups, suites, task files of your own, and one of ours."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, PositiveInt, model_validator

from harness.benchmarks import CheckContext, read_prepared_test, scores_of_items
from harness.benchmarks._lm_eval_files import arms_in, read_samples
from harness.benchmarks._lm_eval_items import TaskItems, figures_of, items_of
from harness.benchmarks._lm_eval_run import check_backend, check_task, fetch_task, language_model, run_tasks
from harness.benchmarks._suites import Task, load_suite
from harness.errors import UserError, unknown_name
from harness.generate import LoadedModel
from harness.pipeline.named import Named
from harness.pipeline.spec_model import SpecModel
from harness.records import Score

EMBEDDED_TASK = "embedded_choice"


class Config(SpecModel):
    """`tasks` are names of lm-eval's tasks or groups, or `{task: ..., num_fewshot: ...}`.

    `suite` adds those of a suite file; they are kept in `suite_tasks`, which is filled in. `num_fewshot`
    is for tasks that name none. `include_path` is a folder of task files; `apply_chat_template` renders
    as in training.
    """

    suite: str | None = None
    suite_tasks: list[Task] | None = None
    tasks: list[str | Task] | None = None
    include_path: str | None = None
    num_fewshot: Annotated[int, Field(ge=0)] | None = None
    limit: PositiveInt | None = None
    backend: Literal["hf", "vllm"] = "hf"
    batch_size: PositiveInt = 16
    apply_chat_template: bool = True
    fewshot_as_multiturn: bool = True

    @model_validator(mode="before")
    @classmethod
    def _with_its_suite(cls, data: Any) -> Any:
        if isinstance(data, dict) and data.get("suite") and data.get("suite_tasks") is None:
            return {**data, "suite_tasks": load_suite(str(data["suite"]))}
        return data

    def asked(self) -> list[Task]:
        """Every task with its few-shot number."""
        named = self.tasks if self.tasks or self.suite_tasks else [EMBEDDED_TASK]
        named_tasks = [Task(task=t) if isinstance(t, str) else t for t in named or []]
        everything = [*(self.suite_tasks or []), *named_tasks]
        return [
            t if t.num_fewshot is not None else t.model_copy(update={"num_fewshot": self.num_fewshot})
            for t in everything
        ]


def needs_hub(config: Config) -> bool:
    """Whether a task may have to fetch its data."""
    return any(asked.task != EMBEDDED_TASK for asked in config.asked())


def files(config: Config) -> list[Named]:
    """The folder of task files; a suite's tasks stand in the settings themselves."""
    return [Path(config.include_path)] if config.include_path is not None else []


def check(config: Config, context: CheckContext) -> None:
    """Raise UserError for unknown tasks, and for tasks whose data cannot be had."""
    check_backend(config.backend)
    task_names = wants(config)
    if not task_names:
        return
    manager = _manager(config)
    for task in task_names:
        if task not in manager.all_tasks:
            raise unknown_task(task, manager.all_tasks)
    for task in task_names:
        check_task(task, manager)


def wants(config: Config) -> list[str]:
    """The tasks, but for our own, whose data are prepared."""
    return list(dict.fromkeys(asked.task for asked in config.asked() if asked.task != EMBEDDED_TASK))


def fetch(config: Config, want: str) -> None:
    """A task's data sets and metrics, and the data of nltk that its scorer needs."""
    manager = _manager(config)
    if want not in manager.all_tasks:
        raise unknown_task(want, manager.all_tasks)
    fetch_task(want, manager)


def unknown_task(task: str, known: list[str]) -> UserError:
    """The error for a task that lm-eval does not have; its list is too long to show."""
    error = unknown_name("lm-eval task", task, known, where="benchmarks.lm_eval.tasks")
    guess = error.remedy.split("? ")[0] + "?" if "did you mean" in error.remedy else "see `lm-eval ls tasks`"
    return UserError(error.fact, where=error.where, remedy=guess)


def score_model(config: Config, model: LoadedModel, prepared: Path, out: Path) -> list[Score]:
    """Every metric of every task and group, a row an item; estimates are lm-eval's own."""
    os.environ.setdefault("HF_DATASETS_CACHE", str(out / "cache"))
    tasks = [
        (embedded_task(prepared, out) if asked.task == EMBEDDED_TASK else asked.task, asked.num_fewshot)
        for asked in config.asked()
    ]
    how = {"apply_chat_template": config.apply_chat_template, "limit": config.limit}
    if config.apply_chat_template:
        how["fewshot_as_multiturn"] = config.fewshot_as_multiturn
    with language_model(model, config.backend, config.batch_size) as lm:
        results = run_tasks(tasks, lm, _manager(config), how)
    return scores_of_results(results, out, {**how, "backend": config.backend, "suite": config.suite})


def scores_of_results(
    found: dict[str, Any], out: Path, settings: dict[str, Any], ending: str = ""
) -> list[Score]:
    """Scores of lm-eval's results: a benchmark `lm_eval/<task>` each, and one of every group with figures."""
    scores: list[Score] = []
    directions = found.get("higher_is_better", {})
    figures = {task: figures_of(found.get("results", {}).get(task, {})) for task in found["samples"]}
    kept = {task: items_of(samples, figures[task]) for task, samples in found["samples"].items()}
    for task, items in kept.items():
        task_settings = {
            **settings,
            "num_fewshot": found.get("n-shot", {}).get(task),
            "version": found.get("versions", {}).get(task),
        }
        scores += _scores(task, items, figures[task], task_settings, directions.get(task, {}), out, ending)
    for group, results in (found.get("groups") or {}).items():
        members = [t for t in _members(group, found.get("group_subtasks", {})) if t in kept]
        if members:
            items = _together({task: kept[task] for task in members})
            group_settings = {**settings, "members": members}
            better = directions.get(group, {})
            scores += _scores(group, items, figures_of(results), group_settings, better, out, ending)
    return scores


def _together(items: dict[str, TaskItems]) -> TaskItems:
    """The items of several tasks, their ids and clusters told apart by the task."""
    rows = [
        {**row, **{key: f"{task}/{row[key]}" for key in ("id", "cluster") if key in row}}
        for task, one in items.items()
        for row in one.rows
    ]
    kept = {metric for row in rows for metric in row["metrics"]}
    left_out = {m: why for one in items.values() for m, why in one.left_out.items() if m not in kept}
    return TaskItems(rows, left_out, sum(one.documents for one in items.values()))


def _members(group: str, subtasks: dict[str, list[str]]) -> list[str]:
    """The tasks below a group, groups in it opened; one that holds itself is opened once."""
    coming, opened, members = [group], set[str](), []
    while coming:
        name = coming.pop(0)
        if name != group and not subtasks.get(name):
            members.append(name)
        elif name not in opened:
            opened.add(name)
            coming = [*subtasks.get(name, []), *coming]
    return members


def replay(folder: Path, out: Path) -> dict[str, list[Score]]:
    """Scores of the arms whose `--log_samples` folders lie in `folder`; estimates are lm-eval's own."""
    scores_by_arm: dict[str, list[Score]] = {}
    for arm, holder in arms_in(folder).items():
        samples, whole = read_samples(holder)
        results = {**whole, "samples": samples}
        scores_by_arm.setdefault(arm, []).extend(
            scores_of_results(results, out, {"replayed": True}, f".{arm}")
        )
    return scores_by_arm


def _scores(
    task: str,
    items: TaskItems,
    figures: dict[str, float],
    settings: dict[str, Any],
    higher_is_better: dict[str, bool | None],
    out: Path,
    ending: str,
) -> list[Score]:
    """Scores named `<metric>` or `<metric>,<filter>`; figures and directions are the task's own.

    A metric that is left out has a score without items: lm-eval's figure, and why it is no more than that.
    """
    benchmark, file = f"lm_eval/{task}", f"lm_eval.{task}{ending}"
    settings = {**settings, "left_out": sorted(items.left_out)} if items.left_out else settings
    scores = scores_of_items(benchmark, items.rows, out, file=file, settings=settings)
    scores += [
        Score(
            benchmark=benchmark,
            metric=metric,
            estimate=None,
            n=items.documents,
            settings=settings,
            reason=f"no items are kept: {why}",
        )
        for metric, why in items.left_out.items()
    ]
    return [
        s.model_copy(
            update={
                "estimate": figures.get(s.metric, s.estimate),
                "higher_is_better": higher_is_better.get(s.metric.partition(",")[0]) is not False,
            }
        )
        for s in scores
    ]


def _manager(config: Config) -> Any:
    """lm-eval's index of tasks; reading all of its files takes seconds, which our own task spares."""
    from lm_eval.tasks import TaskManager

    return TaskManager(
        include_path=config.include_path, include_defaults=needs_hub(config), verbosity="ERROR"
    )


def embedded_task(prepared: Path, out: Path) -> dict[str, Any]:
    """Choose the chosen answer: a multiple-choice task over the prepared test pairs."""
    rows = [
        {
            "query": json.loads(row["prompt"])[-1]["content"],
            "choices": [row["chosen"], row["rejected"]][:: 1 if i % 2 == 0 else -1],
            "gold": i % 2,
        }
        for i, row in enumerate(read_prepared_test(prepared))
    ]
    file = out / "embedded_choice.json"
    file.write_text("\n".join(json.dumps(row) for row in rows), encoding="ascii")
    return {
        "task": EMBEDDED_TASK,
        "dataset_path": "json",
        "dataset_kwargs": {"data_files": {"test": str(file)}, "cache_dir": str(out / "cache")},
        "test_split": "test",
        "output_type": "multiple_choice",
        "doc_to_text": "{{query}}",
        "doc_to_choice": "{{choices}}",
        "doc_to_target": "gold",
        "target_delimiter": " ",
        "metric_list": [
            {"metric": "acc", "aggregation": "mean", "higher_is_better": True},
            {"metric": "acc_norm", "aggregation": "mean", "higher_is_better": True},
        ],
    }
