"""What can go to make room, what stays, and what a stage without its weights is good for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from synthetic import make_record
from unit.store.test_damage import WEIGHTS, finished

from harness.commands import clean, verify
from harness.errors import UserError
from harness.records import (
    ComparisonRecord,
    Plan,
    PlannedStage,
    StageRequest,
    TuningRecord,
    TuningTrial,
)
from harness.running.reusable import reusable, why_again
from harness.running.status import FILE as STATUS
from harness.store.cleaned import FILE
from harness.store.cleaning import can_go, free
from harness.store.run_dir import RunRoot, read_record


def store(path: Path) -> tuple[RunRoot, ComparisonRecord]:
    """A run with one stage that has weights."""
    root = RunRoot(path)
    root.open_for_writing()
    result = finished(root)
    made = make_record(seeds=(0,))
    kept = PlannedStage(digest="d", kind="train", name=result.name, seed=0, config={})
    cells = [cell.model_copy(update={"stages": ["d"], "evaluate": None}) for cell in made.plan.cells]
    stages = {"prep": made.plan.stages["prep"], "d": kept}
    plan = made.plan.model_copy(update={"stages": stages, "order": ["d"], "cells": cells})
    results = {"prep": made.results["prep"], "d": result}
    record = made.model_copy(update={"plan": plan, "results": results, "uses": {}})
    root.write_record(record)
    return root, record


def kinds(root: RunRoot, *runs: str) -> dict[str, int]:
    found: dict[str, int] = {}
    for one in can_go(root, runs or None):
        found[one.kind] = found.get(one.kind, 0) + one.size
    return found


def half(root: RunRoot, digest: str, owner: str) -> Path:
    folder = root.start_stage(
        StageRequest(digest=digest, kind="train", name=digest, seed=0, config={}), owner=owner
    )
    (folder / "model").mkdir()
    (folder / "model" / "part").write_bytes(bytes(1000))
    return folder


def test_it_is_shown_first_and_removed_when_asked(tmp_path: Path, capsys: Any) -> None:
    root, record = store(tmp_path)
    assert clean.run([], out=tmp_path, yes=False) == 0
    said = capsys.readouterr().out
    assert "200,000 bytes" in said
    assert "Nothing was removed" in said
    assert (root.stage_folder("d") / WEIGHTS).is_file()
    assert clean.run([record.id], out=tmp_path, yes=True) == 0
    assert not (root.stage_folder("d") / "model").exists()
    assert {path.name for path in root.stage_folder("d").iterdir()} == {
        *("request.json", "result.json", "owner.txt", "log.txt", "steps.jsonl", FILE)
    }
    assert clean.run([], out=tmp_path, yes=True) == 0
    assert "nothing to clean" in capsys.readouterr().out


def test_cleaned_weights_are_no_damage_and_other_damage_is(tmp_path: Path, capsys: Any) -> None:
    root, record = store(tmp_path)
    free(can_go(root))
    root = RunRoot(tmp_path)
    assert root.damage_of(record) == root.damage_of(record, whole=True) == {}
    assert verify.run("latest", out=tmp_path) == 0
    said = capsys.readouterr().out
    assert "weights were cleaned away on 20" in said
    assert "1 files of 1 stages, 24 bytes: all as they were written" in said
    (root.stage_folder("d") / "steps.jsonl").unlink()
    assert verify.run("latest", out=tmp_path) == 1
    assert "steps.jsonl is gone" in capsys.readouterr().out
    assert RunRoot(tmp_path).cleaned("d") is None


def test_a_cleaning_that_was_killed_half_way_leaves_no_half_weights_in_use(tmp_path: Path) -> None:
    root, _ = store(tmp_path)
    (one,) = can_go(root)
    (root.stage_folder("d") / FILE).write_text('{"at": "2026-01-01", "folders": {"model": 1}}')
    assert RunRoot(tmp_path).finished("d") is None
    assert RunRoot(tmp_path).cleaned("d") is not None
    assert can_go(root) == [one]


def follower(plan: Plan) -> Plan:
    scores = PlannedStage(digest="e", kind="evaluate", name="e", seed=0, config={}, needs={"model": "d"})
    return plan.model_copy(update={"stages": {**plan.stages, "e": scores}, "order": ["d", "e"]})


def test_it_runs_again_only_where_a_stage_that_is_to_run_needs_it(tmp_path: Path) -> None:
    root, record = store(tmp_path)
    free(can_go(root))
    root = RunRoot(tmp_path)
    assert root.finished("d") is None
    assert reusable(root, record.plan, "d") == record.results["d"]
    assert reusable(root, follower(record.plan), "d") is None
    (line,) = why_again(root, "d")
    assert "runs again, since model/ was cleaned away on 20" in line


def test_the_runs_that_it_was_made_for_keep_what_it_kept(tmp_path: Path) -> None:
    root, record = store(tmp_path)
    free(can_go(root))
    root = RunRoot(tmp_path)
    half(root, "d", owner=record.id)
    kept = root.folder_of(record.results["d"])
    assert kept != root.stage_folder("d")
    assert (kept / "steps.jsonl").is_file()
    assert RunRoot(tmp_path).damage_of(record, whole=True) == {}


def test_what_no_run_needs_goes_and_what_may_go_on_stays(tmp_path: Path) -> None:
    root, record = store(tmp_path)
    half(root, "lost", owner="given-up")
    half(root, "goes-on", owner="interrupted")
    half(root, "failed", owner=record.id)
    (tmp_path / "interrupted").mkdir()
    (tmp_path / "interrupted" / STATUS).write_text("{}")
    (tmp_path / "stages" / "abc.20260101").mkdir()
    (tmp_path / "stages" / "abc.20260101" / "owner.txt").write_text(record.id)
    (tmp_path / "stages" / "notes of mine").mkdir()
    plan = record.plan
    planned = {**plan.stages, "failed": plan.stages["d"].model_copy(update={"digest": "failed"})}
    root.write_record(record.model_copy(update={"plan": plan.model_copy(update={"stages": planned})}))
    assert set(kinds(root)) == {"weights", "stages that no run needs", "stages set aside"}
    assert set(kinds(root, record.id)) == {"weights"}
    free(can_go(root))
    assert {path.name for path in (tmp_path / "stages").iterdir()} == {
        *("d", "goes-on", "failed", "notes of mine")
    }


def test_trials_of_a_comparison_are_needed_by_it(tmp_path: Path) -> None:
    root, record = store(tmp_path)
    half(root, "tried", owner="its-trials")
    assert "stages that no run needs" in kinds(root)
    trial = TuningTrial(arm="orpo", number=1, settings={}, score=0.5, stages=["tried"])
    search = {
        "metric": "preference.accuracy",
        "higher_is_better": True,
        "sampler": "random",
        "pruner": "none",
    }
    spent = {"axis": "trials", "amount": 1, "seed": 7, "space": {}, "trials": [trial], "chosen": {"orpo": 1}}
    tuning = TuningRecord.model_validate({**search, **spent})
    root.write_record(record.model_copy(update={"tuning": tuning}))
    assert "stages that no run needs" not in kinds(root)


def test_log_probs_that_stages_scored_once_go_unless_their_comparison_may_go_on(tmp_path: Path) -> None:
    root, record = store(tmp_path)
    half(root, "goes-on", owner="interrupted")
    (tmp_path / "interrupted").mkdir()
    (tmp_path / "interrupted" / STATUS).write_text("{}")
    folder = tmp_path / "cache" / "reference"
    folder.mkdir(parents=True)
    for name, maker in (("a", '{"digest": "d"}'), ("b", '{"digest": "goes-on"}'), ("c", "{half")):
        (folder / f"{name}.json").write_text(maker)
        (folder / f"{name}.safetensors").write_bytes(bytes(100))
    gone = {one.path.name for one in can_go(root) if one.kind == "log-probs of references"}
    assert gone == {"a.json", "a.safetensors", "c.json", "c.safetensors"}
    assert set(kinds(root, record.id)) == {"weights"}
    free(can_go(root))
    assert {file.name for file in folder.iterdir()} == {"b.json", "b.safetensors"}


def test_another_runs_weights_stay(tmp_path: Path) -> None:
    root, record = store(tmp_path)
    root.write_record(record.model_copy(update={"id": "other"}))
    assert kinds(root, record.id) == {}
    assert kinds(root, record.id, "other") == {"weights": 200_000}


def test_nothing_outside_the_root_is_removed(tmp_path: Path) -> None:
    root, _ = store(tmp_path / "runs")
    outside = tmp_path / "outside"
    (root.stage_folder("d") / "model").rename(outside)
    (root.stage_folder("d") / "model").symlink_to(outside)
    assert can_go(root) == []
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "owner.txt").write_text("nobody")
    (root.path / "stages" / "linked").symlink_to(elsewhere)
    free(can_go(root))
    assert (outside / "model.safetensors").is_file()
    assert (elsewhere / "owner.txt").is_file()


def test_never_under_a_running_comparison_nor_beside_a_record_that_cannot_be_read(tmp_path: Path) -> None:
    root, record = store(tmp_path)
    with root.lock("comparison x"), pytest.raises(UserError, match=r"comparison x .* writes here"):
        clean.run([], out=tmp_path, yes=True)
    (root.run_folder(record.id) / "record.json").write_text("{half")
    with pytest.raises(UserError, match="cannot be read"):
        clean.run([], out=tmp_path, yes=True)
    assert (root.stage_folder("d") / WEIGHTS).is_file()
    assert clean.run([], out=tmp_path / "none", yes=True) == 0


def test_a_record_stays_as_it_was(tmp_path: Path) -> None:
    root, record = store(tmp_path)
    free(can_go(root))
    assert read_record(root.run_folder(record.id)) == record
