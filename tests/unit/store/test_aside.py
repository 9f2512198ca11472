"""Stages set aside to run again: nothing is lost, and nothing stands beside inputs that are not its own."""

from __future__ import annotations

from pathlib import Path

import pytest
from synthetic import ENVIRONMENT

from harness.records import CheckFacts, Covers, StageRequest, StageResult
from harness.store.aside import newest_of, put_back, set_aside
from harness.store.run_dir import RunRoot

NEEDS = {"data": [], "sft": ["data"], "dpo": ["data", "sft"], "orpo": ["data"], "score": ["data", "dpo"]}


def finish(root: RunRoot, digest: str, second: int, name: str | None = None) -> StageResult:
    inputs = {need: str(root.stage_folder(need).resolve()) for need in NEEDS.get(digest, [])}
    covers = Covers(kind="check", seed=0, config={"second": second})
    request = StageRequest(
        digest=digest, kind="check", name=name or digest, seed=0, config={}, inputs=inputs, covers=covers
    )
    folder = root.start_stage(request, owner="run")
    (folder / "items.jsonl").write_text(f'{{"second": {second}}}\n')
    result = StageResult(
        digest=digest,
        kind="check",
        name=name or digest,
        seed=0,
        started_at="",
        finished_at=f"2026-01-01T00:00:{second:02}.000000+00:00",
        environment=ENVIRONMENT,
        facts=CheckFacts(),
    )
    (folder / "result.json").write_text(result.model_dump_json())
    return result


@pytest.fixture
def root(tmp_path: Path) -> RunRoot:
    root = RunRoot(tmp_path / "runs")
    root.open_for_writing()
    for second, digest in enumerate(NEEDS):
        finish(root, digest, second)
    return root


def finished(root: RunRoot) -> set[str]:
    return {digest for digest in NEEDS if root.finished(digest) is not None}


def test_what_was_made_from_a_stage_goes_with_it(root: RunRoot) -> None:
    old = root.finished("sft")
    assert old is not None
    assert list(set_aside(root, ["sft"])) == ["score", "dpo", "sft"], "what follows goes first"
    assert finished(root) == {"data", "orpo"}
    assert (root.folder_of(old) / "items.jsonl").read_text() == '{"second": 1}\n'
    new = finish(root, "sft", 30)
    assert root.folder_of(new) == root.stage_folder("sft")
    assert (root.folder_of(old) / "items.jsonl").read_text() == '{"second": 1}\n'


def test_interrupted_before_anything_ran_all_is_as_it_was(root: RunRoot) -> None:
    moved = set_aside(root, NEEDS)
    root.start_stage(StageRequest(digest="data", kind="check", name="", seed=0, config={}), owner="run")
    assert set(put_back(root, moved)) == set(NEEDS)
    assert finished(root) == set(NEEDS)
    assert len(list((root.path / "stages").iterdir())) == len(NEEDS)


def test_interrupted_halfway_only_what_is_still_valid_comes_back(root: RunRoot) -> None:
    moved = set_aside(root, ["sft", "orpo"])
    finish(root, "sft", 40)
    assert set(put_back(root, moved)) == {"orpo"}
    assert finished(root) == {"data", "sft", "orpo"}
    kept = {folder.name.partition(".")[0] for folder in moved.values() if folder.is_dir()}
    assert kept == {"sft", "dpo", "score"}, "they were made from the earlier sft, and are kept aside"


def test_unfinished_stages_are_left_alone(root: RunRoot) -> None:
    (root.stage_folder("orpo") / "result.json").unlink()
    assert set_aside(root, ["orpo"]) == {}
    assert root.stage_folder("orpo").is_dir()


def test_the_newest_of_a_name(root: RunRoot) -> None:
    assert newest_of(root, "none") is None
    finish(root, "other", 50, name="orpo")
    finish(root, "third", 20, name="orpo")
    found = newest_of(root, "orpo")
    assert found is not None
    assert found.digest == "other"
