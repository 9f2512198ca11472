"""A full disk is told from other errors, whoever wrote, and leaves one message."""

from __future__ import annotations

import errno
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from synthetic import foretold, rehearsed
from unit.running.test_execute import chain, stage

from harness import cli, full_disk
from harness.errors import UserError
from harness.records import RehearseFacts
from harness.running.room import check_room_for
from harness.store.run_dir import RunRoot
from harness.whole_file import write_atomically

FULL = Path("/dev/full")
needs_full = pytest.mark.skipif(not FULL.exists(), reason="this system has no /dev/full")


def write_to_full() -> None:
    with FULL.open("w") as sink:
        sink.write("x")


@needs_full
def test_the_systems_own_error_is_known() -> None:
    with pytest.raises(OSError, match="No space left") as raised:
        write_to_full()
    assert full_disk.says_full(raised.value)


def test_libraries_pass_on_the_systems_words_alone() -> None:
    for words in (
        "Error while serializing: I/O error: No space left on device (os error 28)",
        "[Errno 28] Error writing bytes to file. Detail: [errno 28] No space left on device",
        "I/O error: Disk quota exceeded (os error 122)",
    ):
        assert full_disk.says_full(RuntimeError(words)), words


def test_other_errors_are_no_full_disk_and_causes_count() -> None:
    assert not full_disk.says_full(OSError(errno.EIO, "Input/output error"))
    assert not full_disk.says_full(ValueError("28"))
    first = RuntimeError("saving failed")
    first.__cause__ = OSError(errno.EDQUOT, "over")
    first.__cause__.__context__ = first
    assert full_disk.says_full(first)


def test_a_command_that_meets_a_full_disk_ends_with_2_and_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: Any, tmp_path: Path
) -> None:
    def fail(*_: Any, **__: Any) -> int:
        raise OSError(errno.ENOSPC, "No space left on device", str(tmp_path / "a" / "b"))

    monkeypatch.setattr(cli, "app", fail)
    assert cli._run() == 2
    said = capsys.readouterr().err
    assert said.startswith(f"harness: {tmp_path}/a/b: the disk is full (")
    assert len(said.strip().splitlines()) == 1


@needs_full
def test_nothing_half_written_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def cut(path: Path, text: str, **_: Any) -> None:
        path.write_bytes(b"half")
        write_to_full()

    monkeypatch.setattr(Path, "write_text", cut)
    with pytest.raises(OSError, match="No space left"):
        write_atomically(tmp_path / "result.json", "all of it")
    assert list(tmp_path.iterdir()) == []


def test_under_the_roots_lock_it_is_said_where_and_how_much(tmp_path: Path) -> None:
    root = RunRoot(tmp_path)
    root.open_for_writing()
    message = r"the disk is full \(.* free of .*\); make room .*same command goes on"
    with pytest.raises(UserError, match=message), root.lock("test"):
        raise OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.parametrize(("free", "fits"), [(10, False), (2_000, True)])
def test_room_is_asked_for_now(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, free: int, fits: bool
) -> None:
    """What a reused check found at its time says nothing of the disk today."""
    plan = chain()
    training = stage("sft", "train").model_copy(update={"config": dict(plan.stages["sft"].config["job"])})
    facts = RehearseFacts(prediction=foretold(checkpoint_bytes=1000))
    known = rehearsed("sft").model_copy(update={"facts": facts})
    usage = SimpleNamespace(free=free, total=10_000)
    monkeypatch.setattr(full_disk.shutil, "disk_usage", lambda place: usage)
    if fits:
        check_room_for(training, plan, {"sft": known}, tmp_path)
        return
    with pytest.raises(UserError, match=r"the weights of train sft need 1 KiB of disk and 0 KiB are free"):
        check_room_for(training, plan, {"sft": known}, tmp_path)
