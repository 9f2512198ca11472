"""Files that were damaged after their stage was finished: noticed, named, and the stage runs again."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from synthetic import trained

from harness import artifacts
from harness.records import StageRequest, StageResult
from harness.sealed import write_sealed
from harness.store.run_dir import RunRoot

WEIGHTS = "model/model.safetensors"


def finished(root: RunRoot, size: int = 200_000) -> StageResult:
    """A training stage with weights, steps and items, as its process leaves them."""
    asked = StageRequest(digest="d", kind="train", name="orpo/orpo@0", seed=0, config={}, attempt="one")
    folder = root.start_stage(asked, owner="run")
    (folder / "model").mkdir()
    (folder / WEIGHTS).write_bytes(os.urandom(size))
    (folder / "steps.jsonl").write_text('{"step": 1}\n{"step": 2}\n')
    (folder / "log.txt").write_text("said")
    outputs = {"model": "model", "steps": "steps.jsonl"}
    kept = artifacts.written(folder)
    assert set(kept) == {WEIGHTS, "steps.jsonl"}
    result = trained("d", "orpo/orpo@0", 0, "orpo").model_copy(
        update={"outputs": outputs, "artifacts": kept, "attempt": "one"}
    )
    write_sealed(folder / "result.json", result)
    return result


def zeroed(path: Path, at: int = 100_000, count: int = 40_000) -> None:
    """Bytes in the middle, the file's times as they were."""
    times = path.stat()
    with path.open("r+b") as file:
        file.seek(at)
        file.write(bytes(count))
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))


DAMAGE: dict[str, tuple[str, Callable[[Path], None], str]] = {
    "zeroed": (WEIGHTS, zeroed, "was changed"),
    "cut": (WEIGHTS, lambda path: os.truncate(path, 1000), "has 1,000 bytes and was written with 200,000"),
    "emptied": ("steps.jsonl", lambda path: path.write_text(""), "has 0 bytes and was written with 24"),
    "one letter": ("steps.jsonl", lambda path: path.write_text('{"step": 1}\n{"step": 3}\n'), "was changed"),
    "gone": (WEIGHTS, lambda path: path.unlink(), "is gone"),
    "a digit": (
        "result.json",
        lambda path: path.write_text(path.read_text().replace('"seed": 0', '"seed": 1', 1)),
        "was changed",
    ),
    "no JSON": ("result.json", lambda path: path.write_text('{"half'), "cannot be read"),
}


@pytest.mark.parametrize("kind", DAMAGE)
def test_damage_is_noticed_and_named(kind: str, tmp_path: Path) -> None:
    file, harm, what = DAMAGE[kind]
    finished(RunRoot(tmp_path))
    assert RunRoot(tmp_path).finished("d") is not None
    harm(tmp_path / "stages" / "d" / file)
    root = RunRoot(tmp_path)
    assert root.finished("d") is None
    assert root.damage("d") == {file: what}


def test_a_log_that_grows_and_a_file_that_is_touched_are_no_damage(tmp_path: Path) -> None:
    finished(RunRoot(tmp_path))
    folder = tmp_path / "stages" / "d"
    (folder / "log.txt").write_text("said more")
    os.utime(folder / WEIGHTS)
    assert RunRoot(tmp_path).finished("d") is not None


def test_large_files_are_looked_at_in_blocks_and_verified_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(artifacts, "SMALL", 1 << 16)
    monkeypatch.setattr(artifacts, "BLOCK", 1 << 10)
    monkeypatch.setattr(artifacts, "BLOCKS", 4)
    result = finished(RunRoot(tmp_path))
    path = tmp_path / "stages" / "d" / WEIGHTS
    zeroed(path, at=80_000, count=100)
    assert RunRoot(tmp_path).finished("d") is not None
    assert artifacts.damage(path.parents[1], result.artifacts, whole=True) == {WEIGHTS: "was changed"}
    zeroed(path, at=0, count=100)
    assert RunRoot(tmp_path).finished("d") is None


def test_results_of_versions_that_kept_no_digests_are_believed(tmp_path: Path) -> None:
    result = finished(RunRoot(tmp_path)).model_copy(update={"artifacts": {}})
    folder = tmp_path / "stages" / "d"
    (folder / "result.json").write_text(result.model_dump_json())
    zeroed(folder / WEIGHTS)
    assert RunRoot(tmp_path).finished("d") is not None
