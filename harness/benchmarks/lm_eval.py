"""lm-evaluation-harness: any of its tasks, task files of your own, and one that needs no network."""

from __future__ import annotations

import json
import os
from collections import Counter
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, PositiveInt

from harness.benchmarks import CheckContext, read_prepared_test, scores_of_items
from harness.benchmarks._lm_eval_files import arms_in, read_samples
from harness.errors import UserError, unknown_name
from harness.generate import LoadedModel
from harness.pipeline.spec import SpecModel
from harness.records import Score

EMBEDDED_TASK = "embedded_choice"


class Config(SpecModel):
    """`include_path` is a folder of task files; `apply_chat_template` renders as in training."""

    tasks: Annotated[list[str], Field(min_length=1)] = Field(default_factory=lambda: [EMBEDDED_TASK])
    include_path: str | None = None
    num_fewshot: Annotated[int, Field(ge=0)] | None = None
    limit: PositiveInt | None = None
    batch_size: PositiveInt = 16
    apply_chat_template: bool = True


def needs_hub(config: Config) -> bool:
    """Whether a task may have to fetch its data."""
    return any(task != EMBEDDED_TASK for task in config.tasks)


def check(config: Config, context: CheckContext) -> None:
    """Raise UserError for unknown tasks, and for tasks whose data cannot be had."""
    own = [task for task in config.tasks if task != EMBEDDED_TASK]
    if not own:
        return
    manager = _manager(config)
    for task in own:
        if task not in manager.all_tasks:
            raise unknown_task(task, manager.all_tasks)
    for task in own:
        try:
            _load([task], manager)
        except Exception as error:
            first = str(error).splitlines()[0][:160] if str(error) else type(error).__name__
            raise UserError(
                f'the data of lm-eval task "{task}" cannot be loaded ({first})',
                where="benchmarks.lm_eval.tasks",
                remedy="check the network and HF_TOKEN, or leave the task out",
            ) from error


def unknown_task(task: str, known: list[str]) -> UserError:
    """The error for a task that lm-eval does not have; its list is too long to show."""
    error = unknown_name("lm-eval task", task, known, where="benchmarks.lm_eval.tasks")
    guess = error.remedy.split("? ")[0] + "?" if "did you mean" in error.remedy else "see `lm-eval ls tasks`"
    return UserError(error.fact, where=error.where, remedy=guess)


def score_model(config: Config, model: LoadedModel, prepared: Path, out: Path) -> list[Score]:
    """Every metric of every task, a row an item; estimates are lm-eval's own."""
    from lm_eval import simple_evaluate
    from lm_eval.models.huggingface import HFLM

    os.environ.setdefault("HF_DATASETS_CACHE", str(out / "cache"))
    tasks: list[Any] = [
        _embedded_task(prepared, out) if task == EMBEDDED_TASK else task for task in config.tasks
    ]
    found = simple_evaluate(
        model=HFLM(pretrained=model.model, tokenizer=model.tokenizer, batch_size=config.batch_size),
        tasks=tasks,
        task_manager=_manager(config),
        num_fewshot=config.num_fewshot,
        limit=config.limit,
        apply_chat_template=config.apply_chat_template,
        log_samples=True,
        bootstrap_iters=0,
    )
    scores: list[Score] = []
    for task, samples in found["samples"].items():
        settings = {
            "apply_chat_template": config.apply_chat_template,
            "num_fewshot": found["n-shot"].get(task, config.num_fewshot),
            "limit": config.limit,
            "version": found["versions"].get(task),
        }
        better = found["higher_is_better"].get(task, {})
        scores += _scores(task, samples, found["results"][task], settings, better, out)
    return scores


def replay(folder: Path, out: Path) -> dict[str, list[Score]]:
    """Scores of the arms whose `--log_samples` folders lie in `folder`; estimates are lm-eval's own."""
    found: dict[str, list[Score]] = {}
    for arm, holder in arms_in(folder).items():
        samples, whole = read_samples(holder)
        for task, rows in samples.items():
            settings = {
                "num_fewshot": whole.get("n-shot", {}).get(task),
                "version": whole.get("versions", {}).get(task),
                "replayed": True,
            }
            better = whole.get("higher_is_better", {}).get(task, {})
            results = whole.get("results", {}).get(task, {})
            found.setdefault(arm, []).extend(
                _scores(task, rows, results, settings, better, out, file=f"lm_eval.{task}.{arm}")
            )
    return found


def _scores(
    task: str,
    samples: list[dict[str, Any]],
    results: dict[str, Any],
    settings: dict[str, Any],
    higher_is_better: dict[str, bool | None],
    out: Path,
    file: str | None = None,
) -> list[Score]:
    """Scores named `<metric>` of the benchmark `lm_eval/<task>`; directions are the task's own."""
    names = [n for n in samples[0].get("metrics", []) if isinstance(samples[0].get(n), int | float)]
    seen: Counter[str] = Counter()
    items = []
    for sample in samples:
        identity = "-".join(str(sample[h])[:12] for h in ("doc_hash", "prompt_hash", "target_hash"))
        seen[identity] += 1
        items.append(
            {
                "id": f"{identity}-{seen[identity]}",
                "metrics": {n: float(sample[n]) for n in names},
                "doc_id": sample["doc_id"],
            }
        )
    own = {key.partition(",")[0]: value for key, value in results.items() if isinstance(value, float)}
    made = scores_of_items(f"lm_eval/{task}", items, out, file=file or f"lm_eval.{task}", settings=settings)
    return [
        s.model_copy(
            update={
                "estimate": own.get(s.metric, s.estimate),
                "higher_is_better": higher_is_better.get(s.metric) is not False,
            }
        )
        for s in made
    ]


def _manager(config: Config) -> Any:
    from lm_eval.tasks import TaskManager

    return TaskManager(include_path=config.include_path, verbosity="ERROR")


def _load(tasks: list[Any], manager: Any) -> Any:
    from lm_eval.tasks import get_task_dict

    return get_task_dict(tasks, manager)


def _embedded_task(prepared: Path, out: Path) -> dict[str, Any]:
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
