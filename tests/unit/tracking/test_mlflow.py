"""MLflow says the same as the run folder: while a comparison runs, when it fails, and from its record."""

from __future__ import annotations

import io
import shutil
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from synthetic import ENVIRONMENT
from unit.tracking.made import messages

from harness.errors import Interrupted, OutOfMemory, StageFailed, UserError
from harness.jsonl import read_jsonl
from harness.records import (
    ComparisonRecord,
    EvaluateFacts,
    FailedStage,
    MissingCell,
    Score,
    StageRequest,
    StageResult,
    StageUse,
)
from harness.running.queues import write
from harness.running.tracking import Tracking
from harness.store.run_dir import RunRoot
from harness.tracking._mlflow_runs import MlflowRuns
from harness.tracking.mlflow import default_uri, read_from

SETTLED = 60.0


def runs_of(root: RunRoot) -> dict[str, Any]:
    """Runs by name."""
    from mlflow import MlflowClient

    client = MlflowClient(default_uri(root.path))
    experiment = client.get_experiment_by_name("made")
    assert experiment.tags["mlflow.experimentKind"] == "custom_model_development"
    found = client.search_runs([experiment.experiment_id])
    by_name = {run.info.run_name: run for run in found}
    assert len(by_name) == len(found)
    return by_name


def statuses(root: RunRoot, comparison: str) -> dict[str, str]:
    """Status by name of one comparison's runs."""
    from mlflow import MlflowClient

    client = MlflowClient(default_uri(root.path))
    experiment = client.get_experiment_by_name("made")
    found = client.search_runs([experiment.experiment_id], f"tags.`harness.run_id` = '{comparison}'")
    return {run.info.run_name: run.info.status for run in found}


def history(root: RunRoot, run: Any, name: str) -> list[tuple[int, float]]:
    """Every value of a metric, by step."""
    from mlflow import MlflowClient

    found = MlflowClient(default_uri(root.path)).get_metric_history(run.info.run_id, name)
    return sorted((one.step, one.value) for one in found)


def quietly() -> Console:
    return Console(quiet=True)


def play(tracking: Tracking, record: ComparisonRecord, digests: list[str]) -> None:
    """Stages that run now, with the messages that their processes send."""
    for digest in digests:
        stage = record.plan.stages[digest]
        tracking.begins(stage)
        for message in messages() if stage.kind == "train" else [{"phase": "start-up"}, {}]:
            tracking.hears(stage, message)
        tracking.ends(stage, record.results[digest])


def settle(tracking: Tracking) -> None:
    for box in tracking._outboxes:
        box.settle(SETTLED)


def duration_ms(stage: StageResult) -> int:
    """From start to end, as the record has it."""
    times = [datetime.fromisoformat(t).timestamp() for t in (stage.started_at, stage.finished_at)]
    return int(times[1] * 1000) - int(times[0] * 1000)


def test_metrics_equal_the_record_and_a_second_time_adds_nothing(
    root: RunRoot, record: ComparisonRecord, report: Path, tmp_path: Path
) -> None:
    assert write("mlflow", record, root, report, quietly())
    runs = runs_of(root)
    assert len(runs) == 1 + 6 + 8
    parent = runs[record.id].info.run_id
    cell, stage = runs["sft_dpo@1"], runs["sft_dpo/dpo@1"]
    assert cell.data.tags["mlflow.parentRunId"] == parent
    assert stage.data.tags["mlflow.parentRunId"] == cell.info.run_id
    seconds = record.results["dpo1"].measured("wall_seconds")
    assert seconds is not None
    assert stage.data.metrics["cost/wall_seconds"] == seconds.value
    assert cell.data.metrics["cost/wall_seconds"] == pytest.approx(44.0)
    means = runs[record.id].data.metrics
    both = [runs[f"sft_dpo@{seed}"].data.metrics["cost/wall_seconds"] for seed in (0, 1)]
    assert means["sft_dpo/cost/wall_seconds"] == pytest.approx(sum(both) / 2)
    assert stage.info.end_time - stage.info.start_time == duration_ms(record.results["dpo1"])
    assert stage.data.tags["missing.energy_joules"] == "no CUDA device"
    assert stage.data.tags["ledger.steps"] == "28 step"
    assert stage.data.tags["final_weights"] == str(root.stage_folder("dpo1") / "model")
    assert runs["sft_dpo/sft@1"].data.tags["reused_from"] == "sft/sft@1"
    assert runs[record.id].data.tags["mlflow.note.content"].startswith("# The answer")
    back, _ = read_from(default_uri(root.path), parent, tmp_path / "back")
    assert back == record

    assert write("mlflow", record, root, report, quietly())
    again = runs_of(root)
    assert {n: r.info.run_id for n, r in again.items()} == {n: r.info.run_id for n, r in runs.items()}
    assert {n: r.data.metrics for n, r in again.items()} == {n: r.data.metrics for n, r in runs.items()}


def test_a_score_stands_beside_the_settings_that_it_came_of(
    root: RunRoot, record: ComparisonRecord, report: Path
) -> None:
    write("mlflow", record, root, report, quietly())
    before = runs_of(root)[record.id].info.run_id
    more = scored_again(record, root)
    root.write_record(more)
    write("mlflow", more, root, report, quietly())
    runs = runs_of(root)
    assert runs[record.id].info.run_id == before
    cell = runs["orpo@0"]
    assert cell.data.metrics["score/rubric:2.grade"] == 0.25
    assert cell.data.params["learning_rate"] == cell.data.params["orpo.learning_rate"] == "0.1"
    assert runs["sft_dpo@0"].data.params["dpo.reference"] == "in_loop"
    assert cell.inputs.dataset_inputs[0].dataset.name == "pairs.jsonl"
    assert cell.data.tags["final_weights"] == str(root.stage_folder("orpo0") / "model")


def test_an_address_that_is_no_trackers_is_one_message(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"gopher://x: unknown scheme .gopher.; give one of: http"):
        read_from("gopher://x", "r1", tmp_path / "back")


@pytest.mark.parametrize(("apart", "live_points"), [(0.0, len(messages())), (3_600.0, 1)])
def test_what_is_streamed_equals_the_record(
    apart: float,
    live_points: int,
    root: RunRoot,
    record: ComparisonRecord,
    report: Path,
    tmp_path: Path,
    empty_database: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Steps that came too fast to be told while they ran are told at their stage's end."""
    monkeypatch.setattr("harness.running.tracking.APART_SECONDS", apart)
    plan = record.plan
    with Tracking(["mlflow"], root, "made", quietly()) as tracking:
        tracking.plans(plan)
        play(tracking, record, ["prep"])
        stage = plan.stages["orpo0"]
        tracking.begins(stage)
        for message in messages():
            tracking.hears(stage, message)
        settle(tracking)
        live = runs_of(root)
        names = [record.id, "orpo@0", "orpo/orpo@0"]
        assert {name: run.info.status for name, run in live.items()} == dict.fromkeys(names, "RUNNING")
        assert live[record.id].data.tags["harness.now"] == "orpo/orpo@0"
        assert len(history(root, live["orpo/orpo@0"], "train/loss")) == live_points
        tracking.ends(stage, record.results["orpo0"])
        # All others are reused, of which the watcher is told words alone.
        tracking.completes(record, report)
    runs = runs_of(root)
    assert len(runs) == 1 + 6 + 8
    assert {run.info.status for run in runs.values()} == {"FINISHED"}
    assert "harness.now" not in runs[record.id].data.tags, "nothing of it runs now"
    assert all(runs[name].info.run_id == live[name].info.run_id for name in names)
    for digest, name in (("orpo0", "orpo/orpo@0"), ("orpo1", "orpo/orpo@1")):
        rows = read_jsonl(root.stage_folder(digest) / "steps.jsonl")
        for group, mark in (("train", "loss"), ("probe", "probe_margin")):
            mine = [row for row in rows if mark in row["metrics"]]
            for metric in mine[0]["metrics"]:
                told = history(root, runs[name], f"{group}/{metric.removeprefix('probe_')}")
                assert told == [(row["step"], row["metrics"][metric]) for row in mine], metric

    other = RunRoot(tmp_path / "other")
    shutil.copytree(root.path / "stages", other.path / "stages")
    shutil.copy(empty_database, other.path / "mlflow.db")
    other.write_record(record)
    assert write("mlflow", record, other, report, quietly())
    for name, run in runs_of(other).items():
        assert run.data.metrics == runs[name].data.metrics, name
        assert run.data.params == runs[name].data.params, name
        assert run.inputs.to_dictionary() == runs[name].inputs.to_dictionary(), name


@pytest.mark.parametrize(
    ("error", "status", "reason"),
    [
        (StageFailed("orpo/orpo@0", cause="no memory", log_path="l", log_tail="tail"), "FAILED", "no memory"),
        (Interrupted("orpo/orpo@0"), "KILLED", "Interrupted"),
    ],
)
def test_what_stops_a_comparison_stands_in_its_runs_until_it_goes_on(
    root: RunRoot, record: ComparisonRecord, report: Path, error: Exception, status: str, reason: str
) -> None:
    stage = record.plan.stages["orpo0"]

    def broken() -> None:
        with Tracking(["mlflow"], root, "made", quietly()) as tracking:
            tracking.plans(record.plan)
            tracking.begins(stage)
            tracking.hears(stage, messages()[0])
            tracking.ends(stage, error)
            raise error

    with pytest.raises(type(error)):
        broken()
    runs = runs_of(root)
    assert {run.info.status for run in runs.values()} == {status}
    for name in (record.id, "orpo/orpo@0"):
        assert reason in runs[name].data.tags["harness.why"]
        assert reason in runs[name].data.tags["mlflow.note.content"]
    assert history(root, runs["orpo/orpo@0"], "train/loss") == [(1, 1.0)]

    with Tracking(["mlflow"], root, "made", quietly()) as tracking:
        tracking.plans(record.plan)
        play(tracking, record, ["orpo0"])
        settle(tracking)
        assert runs_of(root)[record.id].info.status == "RUNNING"
        tracking.completes(record, report)
    later = runs_of(root)
    assert later[record.id].info.run_id == runs[record.id].info.run_id
    assert {run.info.status for run in later.values()} == {"FINISHED"}
    assert not any("harness.why" in run.data.tags for run in later.values())


def test_a_shared_stage_is_named_as_on_the_terminal(
    root: RunRoot, record: ComparisonRecord, report: Path
) -> None:
    """By the arm whose turn came first, which is not the first in the file."""
    stages = {
        d: s.model_copy(update={"name": s.name.replace("sft/sft", "sft_dpo/sft")})
        for d, s in record.plan.stages.items()
    }
    plan = record.plan.model_copy(update={"stages": stages})
    assert plan.stages["sft0"].name == "sft_dpo/sft@0"
    with Tracking(["mlflow"], root, "made", quietly()) as tracking:
        tracking.plans(plan)
        tracking.begins(plan.stages["sft0"])
        settle(tracking)
        assert set(runs_of(root)) == {record.id, "sft_dpo@0", "sft_dpo/sft@0"}


def test_a_comparison_with_a_failed_cell_is_told_as_far_as_it_came(
    root: RunRoot, record: ComparisonRecord, report: Path
) -> None:
    """No mean is over another set of seeds than its neighbour, and a cell that lacks a stage has no cost."""
    left = {digest: result for digest, result in record.results.items() if digest != "dpo1"}
    kept = [cell for cell in record.plan.cells if cell.seed == 0]
    missing = [
        MissingCell(
            arm=cell.arm,
            seed=1,
            finished=cell.arm != "sft_dpo",
            why="",
            stages=cell.stages,
            evaluate=cell.evaluate,
        )
        for cell in record.plan.cells
        if cell.seed == 1
    ]
    failed_stage = FailedStage(digest="dpo1", name="sft_dpo/dpo@1", cause="diverged", log="log.txt")
    plan = record.plan.model_copy(
        update={"cells": kept, "spec": {**record.plan.spec, "seeds": [0]}, "order": list(left)}
    )
    update = {"results": left, "plan": plan, "missing": missing, "failed": [failed_stage]}
    root.write_record(record.model_copy(update=update))
    assert write("mlflow", record, root, report, quietly())
    runs = runs_of(root)
    failed = {name for name, run in runs.items() if run.info.status == "FAILED"}
    assert failed == {record.id, "sft_dpo@1"}
    for name in failed:
        assert runs[name].data.tags["harness.why"].startswith("No result of sft_dpo/dpo@1; the same command")
    assert "sft_dpo/dpo@1" not in runs
    assert runs["sft_dpo/sft@1"].info.status == "FINISHED"
    assert "cost/wall_seconds" not in runs["sft_dpo@1"].data.metrics
    means = runs[record.id].data.metrics
    seconds = {arm: means[f"{arm}/cost/wall_seconds"] for arm in ("sft_dpo", "orpo")}
    alone = {arm: runs[f"{arm}@0"].data.metrics["cost/wall_seconds"] for arm in seconds}
    assert seconds == alone, "seed 1 is in no arm's mean"
    root.write_record(record)
    assert write("mlflow", record, root, report, quietly())
    assert {run.info.status for run in runs_of(root).values()} == {"FINISHED"}
    assert not any("harness.why" in run.data.tags for run in runs_of(root).values())


def test_settings_that_change_before_training_leave_one_comparison(
    root: RunRoot, record: ComparisonRecord, report: Path
) -> None:
    first = record.plan.model_copy(update={"id": "made-first"})
    with Tracking(["mlflow"], root, "made", quietly()) as tracking:
        tracking.plans(first)
        settle(tracking)
        assert list(runs_of(root)) == ["made-first"]
        tracking.plans(record.plan)
        tracking.completes(record, report)
    assert "made-first" not in runs_of(root)
    assert runs_of(root)[record.id].info.status == "FINISHED"


def test_memory_that_ran_out_leaves_the_first_cells_failed_and_tells_all_of_the_others(
    root: RunRoot, record: ComparisonRecord, report: Path
) -> None:
    """The arms train again by a plan of smaller micro-batches, whose cells are called as the first one's."""
    first = record.plan.model_copy(update={"id": "made-first"})
    full = OutOfMemory("orpo/orpo@0", cause="memory ran out", log_path="log.txt", log_tail="")
    heard = io.StringIO()
    with Tracking(["mlflow"], root, "made", Console(file=heard, width=300)) as tracking:
        tracking.plans(first)
        tracking.begins(first.stages["sft0"])
        tracking.ends(first.stages["sft0"], record.results["sft0"])
        tracking.begins(first.stages["orpo0"])
        tracking.ends(first.stages["orpo0"], full)
        tracking.plans(record.plan)
        play(tracking, record, ["sft0", "orpo0"])
        tracking.completes(record, report)
    assert heard.getvalue() == ""
    told = {one: statuses(root, one) for one in (first.id, record.id)}
    assert set(told[record.id].values()) == {"FINISHED"}
    assert {"orpo@0", "orpo/orpo@0", "sft@1"} < set(told[record.id])
    assert told[first.id] == {
        **{"sft@0": "FAILED", "orpo@0": "FAILED", "orpo/orpo@0": "FAILED"},
        "sft/sft@0": "FINISHED",
    }


def test_a_store_that_fails_is_written_at_the_end(
    root: RunRoot, record: ComparisonRecord, report: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gone(*_: Any) -> None:
        raise OSError("gone")

    works = MlflowRuns.logs
    monkeypatch.setattr(MlflowRuns, "logs", gone)
    heard = io.StringIO()
    with Tracking(["mlflow"], root, "made", Console(file=heard, width=300)) as tracking:
        tracking.plans(record.plan)
        play(tracking, record, ["prep", "orpo0"])
        settle(tracking)
        monkeypatch.setattr(MlflowRuns, "logs", works)
        tracking.completes(record, report)
    assert heard.getvalue().count("mlflow failed (OSError: gone)") == 1
    assert "mlflow failed 1 time(s), and holds all of it now" in heard.getvalue()
    assert {run.info.status for run in runs_of(root).values()} == {"FINISHED"}
    assert not (root.path / "tracking").exists()


def scored_again(record: ComparisonRecord, root: RunRoot) -> ComparisonRecord:
    """The record with one more scoring stage of one cell."""
    stage = StageResult(
        digest="more1",
        kind="evaluate",
        name="x",
        seed=0,
        started_at="2026-01-01T00:00:00",
        finished_at="2026-01-01T00:01:00",
        environment=ENVIRONMENT,
        facts=EvaluateFacts(),
        scores=[Score(benchmark="rubric@2", metric="grade", estimate=0.25, n=1)],
    )
    asked = StageRequest(digest="more1", kind="evaluate", name="x", seed=0, config={})
    folder = root.start_stage(asked, owner=record.id)
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
