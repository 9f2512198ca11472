"""The run folder is the truth, and MLflow says the same."""

from __future__ import annotations

import json
import os
from datetime import datetime
from pathlib import Path

import pytest
from synthetic import ENVIRONMENT, make_record

from harness.errors import UserError
from harness.jsonl import read_jsonl, write_jsonl
from harness.records import (
    ComparisonRecord,
    EvaluateFacts,
    Measurement,
    Score,
    StageRequest,
    StageResult,
    StageUse,
    TrainFacts,
)
from harness.store.run_dir import RunRoot, read_record


def result(digest: str = "abc", **outputs: str) -> StageResult:
    return StageResult(
        digest=digest,
        kind="train",
        name="x",
        seed=0,
        started_at="",
        finished_at="",
        environment=ENVIRONMENT,
        facts=TrainFacts(),
        outputs=outputs,
    )


def request(digest: str = "abc") -> StageRequest:
    return StageRequest(digest=digest, kind="train", name="x", seed=0, config={})


@pytest.fixture
def root(tmp_path: Path) -> RunRoot:
    found = RunRoot(tmp_path / "runs")
    found.open_for_writing()
    return found


def test_a_stage_counts_as_finished_only_when_whole(root: RunRoot) -> None:
    folder = root.start_stage(request(), owner="run")
    assert root.finished("abc") is None
    (folder / "result.json").write_text("{half")
    assert root.finished("abc") is None
    (folder / "result.json").write_text(result(model="model").model_dump_json())
    assert root.finished("abc") is None
    (folder / "model").mkdir()
    assert root.finished("abc") is not None
    assert root.owner("abc") == "run"
    (folder / "result.json").write_text(result("other").model_dump_json())
    assert root.finished("abc") is None


def test_starting_again_removes_what_a_broken_run_left(root: RunRoot) -> None:
    folder = root.start_stage(request(), owner="run")
    (folder / "half").touch()
    assert not (root.start_stage(request(), owner="run") / "half").exists()


def test_a_root_that_cannot_be_written_is_one_message(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match=r"file/runs: cannot be written to .*; give another folder by --out"):
        RunRoot(tmp_path / "file" / "runs").open_for_writing()


def test_a_second_comparison_is_kept_out(root: RunRoot) -> None:
    with (
        root.lock(),
        pytest.raises(UserError, match=f"another comparison is running here .process {os.getpid()}"),
        RunRoot(root.path).lock(),
    ):
        pass
    with root.lock():
        pass


def test_records_come_back_equal_and_latest_points_at_them(root: RunRoot) -> None:
    record = make_record()
    root.write_record(record)
    assert read_record(root.find_run("latest")) == record
    assert os.readlink(root.path / "latest") == record.id
    with pytest.raises(UserError, match=f'no finished run "nope"; known: {record.id}'):
        root.find_run("nope")


def test_items_that_are_gone_are_one_message(root: RunRoot) -> None:
    record = make_record(seeds=(0,))
    score = Score(benchmark="b", metric="m", estimate=1.0, n=1, items_file="scores/b.jsonl")
    results = {
        **record.results,
        "ev-orpo0": record.results["ev-orpo0"].model_copy(update={"scores": [score]}),
    }
    with pytest.raises(UserError, match=r"items of a score are gone; run the comparison again"):
        root.read_items(record.model_copy(update={"results": results}))


def test_unknown_fields_and_half_absent_figures_are_refused() -> None:
    with pytest.raises(ValueError, match="Extra inputs"):
        StageRequest.model_validate({**request().model_dump(), "surprise": 1})
    with pytest.raises(ValueError, match="a value or a reason"):
        Measurement(quantity="q", value=None, unit="s", scope="stage", source="x")


@pytest.mark.parametrize("name", ["record", "result", "request"])
def test_records_of_version_1_still_load(name: str) -> None:

    models = {"record": ComparisonRecord, "result": StageResult, "request": StageRequest}
    file = Path(__file__).parents[2] / "fixtures" / "records_v1" / f"{name}.json"
    assert json.loads(file.read_text())["schema_version"] == 1
    loaded = models[name].model_validate_json(file.read_text())
    assert models[name].model_validate_json(loaded.model_dump_json()) == loaded
    if isinstance(loaded, StageResult):
        facts = loaded.facts_as(TrainFacts)
        assert facts.reference is not None
        assert (facts.reference.mode, facts.reference.holder) == ("in_loop", "frozen_copy")
        assert facts.sequences is not None
        assert facts.sequences.forwarded_per_pair == 4


def test_any_text_survives_json_lines(tmp_path: Path) -> None:
    rows = [{"t": t} for t in ("<b>", "\\x", "\x00\x1b", "a" * 100_000, "", "\ud800", "\u2028")]
    write_jsonl(tmp_path / "x.jsonl", rows)
    assert read_jsonl(tmp_path / "x.jsonl") == rows


def duration_ms(stage: StageResult) -> int:
    """From start to end, as the record has it."""
    times = [datetime.fromisoformat(t).timestamp() for t in (stage.started_at, stage.finished_at)]
    return int(times[1] * 1000) - int(times[0] * 1000)


def test_mlflow_metrics_equal_the_records_and_a_second_time_adds_nothing(
    root: RunRoot, tmp_path: Path
) -> None:
    from mlflow import MlflowClient

    from harness.store import mlflow

    record = make_record()
    root.write_record(record)
    for digest, found in record.results.items():
        folder = root.start_stage(request(digest), owner=record.id)
        (folder / "result.json").write_text(found.model_dump_json())
        if found.kind == "train":
            (folder / "steps.jsonl").write_text(json.dumps({"step": 1, "metrics": {"loss": 0.5}}) + "\n")
    report = tmp_path / "report"
    report.mkdir()
    (report / "report.md").write_text("# hello")
    parent = mlflow.project(record, root, tracking_uri=None, report_folder=report)
    assert mlflow.project(record, root, tracking_uri=None, report_folder=report) == parent
    client = MlflowClient(mlflow.default_uri(root))
    experiment = client.get_experiment_by_name("made").experiment_id
    runs = {r.info.run_name: r for r in client.search_runs([experiment])}
    assert len(runs) == 1 + 6 + 8
    cell, stage = runs["sft_dpo@1"], runs["sft_dpo/dpo@1"]
    assert cell.data.tags["mlflow.parentRunId"] == parent
    assert stage.data.tags["mlflow.parentRunId"] == cell.info.run_id
    assert stage.data.metrics["wall_seconds"] == record.results["dpo1"].measured("wall_seconds").value
    assert cell.data.metrics["cost.wall_seconds"] == pytest.approx(44.0)
    assert stage.data.metrics["train.loss"] == 0.5
    means = runs[record.id].data.metrics
    both = [runs[f"sft_dpo@{seed}"].data.metrics["cost.wall_seconds"] for seed in (0, 1)]
    assert means["sft_dpo.cost.wall_seconds"] == pytest.approx(sum(both) / 2)
    assert stage.info.end_time - stage.info.start_time == duration_ms(record.results["dpo1"])
    assert stage.data.tags["missing.energy_joules"] == "no CUDA device"
    assert runs["sft_dpo/sft@1"].data.tags["reused_from"] == "sft/sft@1"
    back, _ = mlflow.read_from(mlflow.default_uri(root), parent, tmp_path / "back")
    assert back == record
    more = scored_again(record, root)
    renewed = mlflow.project(more, root, tracking_uri=None, report_folder=report)
    assert renewed != parent
    runs = {r.info.run_name: r for r in client.search_runs([experiment])}
    assert len(runs) == 1 + 6 + 8
    assert runs["orpo@0"].data.metrics["rubric:2.grade"] == 0.25
    back, _ = mlflow.read_from(mlflow.default_uri(root), renewed, tmp_path / "again")
    assert back == more


def scored_again(record: ComparisonRecord, root: RunRoot) -> ComparisonRecord:
    """The record with one more scoring stage of one cell."""
    score = Score(benchmark="rubric@2", metric="grade", estimate=0.25, n=1)
    stage = result("more1").model_copy(
        update={
            "kind": "evaluate",
            "facts": EvaluateFacts(),
            "scores": [score],
            "started_at": "2026-01-01T00:00:00",
            "finished_at": "2026-01-01T00:01:00",
        }
    )
    folder = root.start_stage(request("more1"), owner=record.id)
    (folder / "result.json").write_text(stage.model_dump_json())
    cells = [
        cell.model_copy(update={"more": ["more1"]}) if (cell.arm, cell.seed) == ("orpo", 0) else cell
        for cell in record.plan.cells
    ]
    return record.model_copy(
        update={
            "plan": record.plan.model_copy(update={"cells": cells}),
            "results": {**record.results, "more1": stage},
            "uses": {**record.uses, "more1": StageUse(digest="more1")},
        }
    )
