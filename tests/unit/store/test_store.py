"""The run folder is the truth, and MLflow says the same."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from synthetic import ENVIRONMENT, make_record

from harness.errors import UserError
from harness.jsonl import read_jsonl, write_jsonl
from harness.records import (
    ComparisonRecord,
    Measurement,
    Score,
    StageRequest,
    StageResult,
    TrainFacts,
)
from harness.store.items import read_items
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


def test_a_record_may_ask_about_an_arm_that_was_left_out(root: RunRoot) -> None:
    questions = [{"quantity": "preference.accuracy", "a": "orpo", "b": "left_out"}]
    record = make_record(baseline="left_out", cost_reference="left_out", questions=questions)
    assert read_record(root.write_record(record)) == record


def test_a_second_comparison_is_kept_out(root: RunRoot) -> None:
    with (
        root.lock("comparison a in runs"),
        pytest.raises(UserError, match=rf"comparison a in runs \(process {os.getpid()} of .*\) writes here"),
        RunRoot(root.path).lock("comparison b in runs"),
    ):
        pass
    with root.lock("comparison b in runs"):
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
    with pytest.raises(UserError, match=r"of stage .* is gone; run the comparison again"):
        read_items(root, record.model_copy(update={"results": results}))


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
