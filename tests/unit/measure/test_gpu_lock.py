"""One comparison a device, held by the kernel."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from harness.errors import UserError
from harness.measure.gpu_lock import GpuLock

HOLD = """
import sys, time
from pathlib import Path
from harness.measure.gpu_lock import GpuLock
with GpuLock("cuda:GPU-1234", folder=Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def holder(tmp_path: Path) -> subprocess.Popen[str]:
    process = subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


def test_a_second_comparison_is_kept_out_and_told_by_whom(
    tmp_path: Path, holder: subprocess.Popen[str]
) -> None:
    with pytest.raises(UserError, match=rf"running on this device \(process {holder.pid} of"):
        GpuLock("cuda:GPU-1234", folder=tmp_path).__enter__()
    with GpuLock("cuda:GPU-5678", folder=tmp_path):
        pass
    os.kill(holder.pid, signal.SIGKILL)
    holder.wait()
    with GpuLock("cuda:GPU-1234", folder=tmp_path) as lock:
        assert f'"pid": {os.getpid()}' in lock.path.read_text()


def test_it_is_let_go_at_the_end_and_after_an_error(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), GpuLock("cpu:x:2", folder=tmp_path):
        raise ZeroDivisionError
    with GpuLock("cpu:x:2", folder=tmp_path):
        pass


def test_another_gpu_is_named_where_there_may_be_one(tmp_path: Path) -> None:
    for device, told in (("cuda:GPU-1", True), ("unknown GPU", True), ("cpu:AMD EPYC:2", False)):
        with GpuLock(device, folder=tmp_path), pytest.raises(UserError) as raised:
            GpuLock(device, folder=tmp_path).__enter__()
        assert ("another GPU" in raised.value.remedy) is told


def test_rubbish_in_the_file_locks_nobody_out(tmp_path: Path) -> None:
    lock = GpuLock("cpu:AMD EPYC:2", folder=tmp_path)
    lock.path.write_text("not json")
    with lock:
        assert lock.path.name == "orpo-harness-cpu-AMD-EPYC-2.lock"


def test_every_user_may_lock_the_file(tmp_path: Path) -> None:
    with GpuLock("cpu:x", folder=tmp_path) as lock:
        assert lock.path.stat().st_mode & 0o777 == 0o666


def test_a_folder_that_cannot_be_written_is_one_message(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="cannot be locked"):
        GpuLock("cpu:x", folder=tmp_path / "missing").__enter__()
