"""lm-eval: suites, filters, groups, and what has to be there before anything is trained."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from harness.benchmarks import CheckContext, lm_eval
from harness.benchmarks._lm_eval_items import items_of
from harness.benchmarks._lm_eval_run import NLTK_DATA
from harness.benchmarks._suites import load_suite
from harness.errors import UserError
from harness.generate import LoadedModel
from harness.generate.load import load_model
from harness.jsonl import read_jsonl


def test_a_suite_is_read_once_and_stands_in_the_config() -> None:
    config = lm_eval.Config(suite="chat", tasks=["embedded_choice"], num_fewshot=3)
    asked = {task.task: task.num_fewshot for task in config.asked()}
    assert asked["ifeval"] == 0
    assert asked["embedded_choice"] == 3
    dumped = config.model_dump(mode="json")
    assert lm_eval.Config.model_validate({**dumped, "suite": "not there any more"}).asked() == config.asked()
    assert [task.task for task in load_suite("open_llm")][:2] == ["arc_challenge", "hellaswag"]
    with pytest.raises(UserError, match=r'unknown suite "chatt"; did you mean "chat"\?'):
        lm_eval.Config(suite="chatt")


def test_a_malformed_suite_names_its_line(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("kind: suite\nname: mine\ntasks:\n  - {task: ifeval, fewshot: 3}\n")
    with pytest.raises(UserError, match=r"unknown key tasks\.0\.fewshot") as error:
        lm_eval.Config(suite=str(path))
    assert str(path) in str(error.value)


def test_vllm_must_be_installed(prepared: Path) -> None:
    with pytest.raises(UserError, match="backend vllm is not installed"):
        lm_eval.check(lm_eval.Config(backend="vllm"), CheckContext(prepared, "m", False))


@pytest.mark.slow
def test_ifeval_without_punkt_fails_in_planning(prepared: Path, monkeypatch: Any, tmp_path: Path) -> None:
    import nltk

    monkeypatch.setattr(nltk.data, "path", [str(tmp_path)])
    tried = []
    monkeypatch.setattr(nltk, "download", lambda name, quiet: tried.append(name))
    with pytest.raises(UserError, match="needs nltk's punkt_tab") as error:
        lm_eval.check(lm_eval.Config(tasks=["ifeval"]), CheckContext(prepared, "m", False))
    assert tried == ["punkt_tab"]
    assert "nltk.downloader punkt_tab" in str(error.value)
    assert "ifeval" in NLTK_DATA


@pytest.mark.slow
def test_an_unreachable_data_set_is_named(prepared: Path) -> None:
    with pytest.raises(UserError, match=r'task "arc_easy" \(data set allenai/ai2_arc\) cannot be loaded'):
        lm_eval.check(lm_eval.Config(tasks=["arc_easy"]), CheckContext(prepared, "m", False))


def sample(number: int, name: str, filter_name: str, value: float, doc: str = "") -> dict[str, Any]:
    return {
        "doc_id": number,
        "doc_hash": doc or f"doc{number}",
        "prompt_hash": "p",
        "target_hash": "t",
        "filter": filter_name,
        "metrics": [name],
        name: value,
    }


def test_filters_are_apart_and_duplicates_keep_their_number() -> None:
    samples = [
        sample(i, "exact_match", f, float(i == 1), "same") for f in ("strict", "loose") for i in (0, 1)
    ]
    items = items_of(samples, {}).rows
    assert [item["metrics"] for item in items] == [
        {"exact_match,strict": 0.0, "exact_match,loose": 0.0},
        {"exact_match,strict": 1.0, "exact_match,loose": 1.0},
    ]
    assert len({item["id"] for item in items}) == 2


def ifeval(number: int, followed: list[bool]) -> dict[str, Any]:
    """A sample as lm-eval 0.4.13 logs it for IFEval, whose instructions are lists."""
    metrics = {"prompt_level_loose_acc": all(followed), "inst_level_loose_acc": followed}
    return {**sample(number, "x", "none", 0.0), "metrics": list(metrics), **metrics}


def test_lists_are_a_row_a_value_and_average_to_lm_evals_own_figure(tmp_path: Path) -> None:
    lists = [[True, True, True], [False], [True, False], [np.bool_(True)]]
    samples = [ifeval(number, followed) for number, followed in enumerate(lists)]
    micro = sum(map(sum, lists)) / sum(map(len, lists))
    results = {"prompt_level_loose_acc,none": 0.5, "inst_level_loose_acc,none": micro}
    found = {"samples": {"ifeval": samples}, "results": {"ifeval": results}}
    scores = {s.metric: s for s in lm_eval.scores_of_results(found, tmp_path, {})}
    score = scores["inst_level_loose_acc"]
    assert (score.estimate, score.n) == (micro, 7)
    rows = read_jsonl(tmp_path / str(score.items_file))
    values = {r["id"]: r for r in rows if "inst_level_loose_acc" in r["metrics"]}
    assert sum(r["metrics"]["inst_level_loose_acc"] for r in values.values()) / 7 == pytest.approx(micro)
    assert [r["cluster"] for r in values.values()].count("doc0-p-t-1") == 3
    assert scores["prompt_level_loose_acc"].n == 4
    assert not any("cluster" in r for r in rows if "prompt_level_loose_acc" in r["metrics"])
    assert "left_out" not in score.settings


def test_what_cannot_be_kept_of_a_document_is_named_with_the_reason(tmp_path: Path) -> None:
    """A perplexity of log-likelihoods, F1 of (gold, predicted) pairs, and references in words."""
    samples = [
        {
            **sample(number, "x", "none", 0.0),
            "metrics": ["acc", "perplexity", "f1", "bleu"],
            "acc": 1.0,
            "perplexity": -2.0,
            "f1": (1, number % 2),
            "bleu": ("one", "two"),
        }
        for number in range(4)
    ]
    own = {"acc,none": 1.0, "perplexity,none": 7.389, "f1,none": 2 / 3, "bleu,none": 0.0}
    found = {
        "samples": {"a": samples},
        "results": {"a": own},
        "groups": {"all": own},
        "group_subtasks": {"all": ["a"]},
    }
    scores = {(s.benchmark, s.metric): s for s in lm_eval.scores_of_results(found, tmp_path, {})}
    for benchmark in ("lm_eval/a", "lm_eval/all"):
        assert scores[benchmark, "acc"].settings["left_out"] == ["bleu", "f1", "perplexity"]
        assert scores[benchmark, "acc"].n == 4
        for metric in ("perplexity", "f1", "bleu"):
            score = scores[benchmark, metric]
            assert (score.estimate, score.items_file) == (own[f"{metric},none"], None)
            assert str(score.reason).startswith("no items are kept: ")
    rows = read_jsonl(tmp_path / str(scores["lm_eval/a", "acc"].items_file))
    assert [row["metrics"] for row in rows] == [{"acc": 1.0}] * 4


def test_documents_that_name_a_group_are_a_cluster() -> None:
    samples = [{**sample(i, "acc", "none", 1.0), "doc": {"source_id": f"video{i // 2}"}} for i in range(4)]
    assert [r["cluster"] for r in items_of(samples, {}).rows] == ["video0", "video0", "video1", "video1"]


def test_a_group_holds_the_items_of_its_tasks(tmp_path: Path) -> None:
    found = {
        "samples": {"a": [sample(0, "acc", "none", 1.0)], "b": [sample(0, "acc", "none", 0.0)]},
        "results": {"a": {"acc,none": 1.0}, "b": {"acc,none": 0.0}},
        "groups": {"all": {"acc,none": 0.25}},
        "group_subtasks": {"all": ["half", "b"], "half": ["a"]},
        "higher_is_better": {"a": {"acc": True}},
    }
    scores = {s.benchmark: s for s in lm_eval.scores_of_results(found, tmp_path, {})}
    assert scores["lm_eval/all"].estimate == 0.25
    ids = {row["id"] for row in read_jsonl(tmp_path / str(scores["lm_eval/all"].items_file))}
    assert ids == {"a/doc0-p-t-1", "b/doc0-p-t-1"}


TASK = """
task: {name}
dataset_path: json
dataset_kwargs:
  data_files:
    test: {data}
test_split: test
output_type: multiple_choice
doc_to_text: "{{{{query}}}}"
doc_to_choice: "{{{{choices}}}}"
doc_to_target: gold
metric_list:
  - metric: acc
    aggregation: mean
    higher_is_better: true
"""


@pytest.fixture
def loaded(tiny_model: Path, prepared: Path) -> LoadedModel:
    return load_model(str(tiny_model), prepared / "tokenizer", stop_token_ids=[2])


@pytest.mark.slow
def test_local_tasks_with_duplicates_join_and_equal_lm_eval(
    loaded: LoadedModel, prepared: Path, tmp_path: Path
) -> None:
    """Two arms over a task file with duplicate documents: nothing is lost, and the score is lm-eval's."""
    from lm_eval import simple_evaluate
    from lm_eval.models.huggingface import HFLM

    data = tmp_path / "docs.json"
    rows = [{"query": f"w{4 + i % 5}", "choices": ["w9 w8", "w7"], "gold": i % 2} for i in range(14)]
    data.write_text("\n".join(json.dumps(row) for row in [*rows, rows[0], rows[0]]))
    (tmp_path / "tasks").mkdir()
    for name in ("local_a", "local_b"):
        (tmp_path / "tasks" / f"{name}.yaml").write_text(TASK.format(name=name, data=data))
    group = "group: local_all\ntask: [local_a, local_b]\naggregate_metric_list:\n  - metric: acc\n"
    (tmp_path / "tasks" / "all.yaml").write_text(group)
    config = lm_eval.Config(tasks=["local_all"], include_path=str(tmp_path / "tasks"))
    lm_eval.check(config, CheckContext(prepared, "m", False))
    scores = {f"{s.benchmark}.{s.metric}": s for s in lm_eval.score_model(config, loaded, prepared, tmp_path)}
    again = lm_eval.score_model(config, loaded, prepared, tmp_path / "other")
    own = simple_evaluate(
        model=HFLM(pretrained=loaded.model, tokenizer=loaded.tokenizer, batch_size=4),
        tasks=["local_a"],
        task_manager=lm_eval._manager(config),
        apply_chat_template=True,
        bootstrap_iters=0,
    )
    score = scores["lm_eval/local_a.acc"]
    assert score.estimate == own["results"]["local_a"]["acc,none"]
    one, two = (
        {row["id"]: row["metrics"]["acc"] for row in read_jsonl(folder / "scores" / "lm_eval.local_a.jsonl")}
        for folder in (tmp_path, tmp_path / "other")
    )
    assert len(one) == 16
    assert one == two
    assert sum(one.values()) / 16 == pytest.approx(score.estimate)
    assert scores["lm_eval/local_all.acc"].n == 32
    assert len(again) == len(scores)
