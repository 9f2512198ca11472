"""What benchmarks and judges say that their settings name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from harness.benchmarks import alpaca_eval, diversity, lm_eval, mt_bench
from harness.judges import alpaca_annotator, local_lm, reward_model
from harness.pipeline.named import HubRepo


@pytest.mark.parametrize(
    ("module", "settings", "named"),
    [
        (alpaca_eval, {}, []),
        (alpaca_eval, {"prompt_set": "alpaca_eval_2"}, [HubRepo("tatsu-lab/alpaca_eval", "dataset")]),
        (alpaca_eval, {"prompt_set": "mine.json"}, [Path("mine.json")]),
        (lm_eval, {}, []),
        (lm_eval, {"include_path": "tasks"}, [Path("tasks")]),
        (diversity, {}, []),
        (diversity, {"embeddings": "org/encoder"}, [HubRepo("org/encoder", "model")]),
        (mt_bench, {"questions": "org/questions"}, [HubRepo("org/questions", "dataset")]),
        (reward_model, {"model": "org/rm", "revision": "v2"}, [HubRepo("org/rm", "model", "v2")]),
        (local_lm, {"model": "org/lm"}, [HubRepo("org/lm", "model")]),
    ],
)
def test_files_that_settings_name(module: Any, settings: dict[str, Any], named: list[Any]) -> None:
    assert module.files(module.Config.model_validate(settings)) == named


def test_a_folder_is_named_instead_of_a_repository(tmp_path: Path) -> None:
    config = reward_model.Config(model=str(tmp_path))
    assert reward_model.files(config) == [tmp_path]


def test_an_installed_fastchat_brings_questions_prompts_and_references(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = tmp_path / "fastchat" / "llm_judge" / "data"
    paths = [data / "mt_bench/question.jsonl", data / "judge_prompts.jsonl"]
    paths.append(data / "mt_bench/reference_answer/gpt-4.jsonl")
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("")
    (tmp_path / "fastchat" / "__init__.py").write_text("")
    assert mt_bench.files(mt_bench.Config()) == []
    monkeypatch.syspath_prepend(str(tmp_path))
    assert set(mt_bench.files(mt_bench.Config())) == set(paths)


def test_an_annotator_and_its_prompt_may_lie_in_two_folders() -> None:
    found = alpaca_annotator.files(alpaca_annotator.Config())
    assert [path.name for path in found if isinstance(path, Path)] == [
        "weighted_alpaca_eval_gpt4_turbo",
        "alpaca_eval_clf.txt",
    ]
    assert all(isinstance(path, Path) and path.exists() for path in found)
