"""What a disk does to a root under a running command is one message each; other errors pass as they are."""

from __future__ import annotations

import errno
import os
import shutil
from pathlib import Path

import pytest
from unit.running.test_status import plan

from harness.errors import StageFailed, UserError
from harness.records import StageRequest
from harness.running.course import Course
from harness.running.status import write_status
from harness.store.guard import guarded
from harness.store.run_dir import RunRoot


@pytest.fixture
def root(tmp_path: Path) -> RunRoot:
    found = RunRoot(tmp_path / "runs")
    found.open_for_writing()
    return found


def test_a_root_that_was_removed_is_told_and_not_made_again(root: RunRoot) -> None:
    asked = StageRequest(digest="d", kind="prepare", name="t", seed=0, config={})
    shutil.rmtree(root.path)
    with pytest.raises(UserError, match="runs: was removed while a command wrote there"), guarded(root.path):
        root.start_stage(asked, owner="run")
    with pytest.raises(OSError, match="No such file"):
        write_status(root.run_folder("run"), Course(plan(), {}).status())
    assert not root.path.exists()


def test_a_stage_that_failed_since_its_root_is_gone_is_told_as_that(root: RunRoot) -> None:
    shutil.rmtree(root.path)
    with pytest.raises(UserError, match="was removed while"), guarded(root.path):
        raise StageFailed("t", cause="no such file", log_path="", log_tail="")


def test_a_disk_that_went_away_names_the_file(root: RunRoot) -> None:
    file = str(root.path / "x")
    for number in (errno.EROFS, errno.EIO, errno.ESTALE, errno.EACCES):
        with pytest.raises(UserError, match=r"runs/x: cannot be written to any more"), guarded(root.path):
            raise OSError(number, os.strerror(number), file)


def test_other_errors_pass_as_they_are(root: RunRoot) -> None:
    for error in (OSError(errno.EACCES, "denied", "/elsewhere"), OSError(errno.ECONNRESET, "reset")):
        with pytest.raises(OSError, match=r"denied|reset"), guarded(root.path):
            raise error
    with pytest.raises(StageFailed), guarded(root.path):
        raise StageFailed("t", cause="its own", log_path="", log_tail="")
