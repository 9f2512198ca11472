"""One comparison a device, held by the kernel."""

from __future__ import annotations

import json
import os
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.errors import UserError
from harness.lock_file import Held, LockFile
from harness.measure.gpu_lock import GpuLock, locks_folder

HOLD = """
import sys, time
from harness.measure.gpu_lock import GpuLock
with GpuLock("cuda:GPU-1234", what="comparison mine in /data/runs"):
    print("held", flush=True)
    time.sleep(60)
"""
NOBODY = 65534
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")


def hold(folder: Path, tmpdir: Path) -> subprocess.Popen[str]:
    variables = {**os.environ, "HARNESS_LOCKS": str(folder), "TMPDIR": str(tmpdir)}
    process = subprocess.Popen([sys.executable, "-c", HOLD], stdout=subprocess.PIPE, text=True, env=variables)
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


@pytest.fixture
def holder(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    process = hold(tmp_path, tmp_path)
    yield process
    process.kill()
    process.communicate()


def test_a_second_comparison_is_kept_out_and_told_by_whom(
    tmp_path: Path, holder: subprocess.Popen[str]
) -> None:
    with pytest.raises(UserError) as raised:
        GpuLock("cuda:GPU-1234", folder=tmp_path).__enter__()
    said = str(raised.value)
    assert said.startswith(f"cuda:GPU-1234: comparison mine in /data/runs (process {holder.pid} of ")
    assert "since 20" in said
    assert "wait for it, or choose another GPU" in said
    with GpuLock("cuda:GPU-5678", folder=tmp_path):
        pass
    os.kill(holder.pid, signal.SIGKILL)
    holder.wait()
    with GpuLock("cuda:GPU-1234", folder=tmp_path) as lock:
        assert json.loads(lock.path.read_text())["pid"] == os.getpid()


def test_a_job_with_its_own_tmpdir_meets_the_same_lock(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("HARNESS_LOCKS")
    places = set()
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        monkeypatch.setenv("TMPDIR", str(tmp_path / name))
        places.add(GpuLock("cuda:GPU-1").path)
    assert len(places) == 1
    assert tmp_path not in places.pop().parents


def test_the_place_is_the_first_that_every_user_may_write(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("HARNESS_LOCKS")
    modes = {"closed": 0o755, "open": 0o777, "sticky": 0o1777, "later": 0o1777}
    for name, mode in modes.items():
        (tmp_path / name).mkdir()
        (tmp_path / name).chmod(mode)
    places = [tmp_path / name for name in ("missing", *modes)]
    assert locks_folder(places) == tmp_path / "sticky"
    assert locks_folder([tmp_path / "missing"]) == Path("/tmp")


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


@pytest.mark.parametrize("text", ["not json", "[]", '{"pid": "x"}', "null", "\x00\xff"])
def test_rubbish_in_the_file_locks_nobody_out(tmp_path: Path, text: str) -> None:
    lock = GpuLock("cpu:AMD EPYC:2", folder=tmp_path)
    lock.path.write_text(text)
    with lock:
        assert lock.path.name == "orpo-harness-cpu-AMD-EPYC-2.lock"
        lock.path.write_text(text)
        with pytest.raises(UserError, match="an unknown process measures on this device"):
            GpuLock("cpu:AMD EPYC:2", folder=tmp_path).__enter__()


def test_what_another_user_wrote_reaches_no_terminal_as_it_is(tmp_path: Path) -> None:
    said = {"pid": 1, "user": "\x1b[2J", "since": "now", "what": "a\nb" * 1000}
    with GpuLock("cpu:x", folder=tmp_path) as lock:
        lock.path.write_text(json.dumps(said))
        with pytest.raises(UserError) as raised:
            GpuLock("cpu:x", folder=tmp_path).__enter__()
    assert str(raised.value).isprintable()
    assert len(str(raised.value)) < 500


def test_every_user_may_lock_the_file(tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        with GpuLock("cpu:x", folder=tmp_path) as lock:
            assert stat.S_IMODE(lock.path.stat().st_mode) == 0o666
    finally:
        os.umask(before)


def as_nobody(folder: Path, code: str) -> str:
    """What `code` prints as another user. The interpreter's files may be root's alone, so this one forks."""
    read_end, write_end = os.pipe()
    child = os.fork()
    if not child:
        os.setuid(NOBODY)
        try:
            exec(code, {"folder": folder, "LockFile": LockFile, "GpuLock": GpuLock, "Held": Held})
            said = "locked"
        except Exception as error:
            said = f"{type(error).__name__}: {error}"
        os.write(write_end, said.encode())
        os._exit(0)
    os.close(write_end)
    os.waitpid(child, 0)
    with os.fdopen(read_end) as source:
        return source.read()


@as_root
def test_a_file_of_another_user_is_locked_though_it_cannot_be_written(tmp_path: Path) -> None:
    folder = Path("/tmp") / f"harness-locks-{os.getpid()}"
    folder.mkdir(mode=0o777)
    folder.chmod(0o1777)
    try:
        lock = GpuLock("cpu:x", folder=folder)
        with lock:
            assert "another" not in as_nobody(folder, "pass")
            assert "measures on this device" in as_nobody(
                folder, "GpuLock('cpu:x', folder=folder).__enter__()"
            )
        assert as_nobody(folder, "GpuLock('cpu:x', folder=folder).__enter__()") == "locked"
        lock.path.chmod(0o644)
        assert as_nobody(folder, "GpuLock('cpu:x', folder=folder).__enter__()") == "locked"
        lock.path.chmod(0o600)
        assert "cannot be locked (Permission denied)" in as_nobody(
            folder, "GpuLock('cpu:x', folder=folder).__enter__()"
        )
    finally:
        for path in folder.iterdir():
            path.unlink()
        folder.rmdir()


@pytest.mark.parametrize("kind", ["folder", "pipe", "link"])
def test_what_is_no_plain_file_is_one_message(tmp_path: Path, kind: str) -> None:
    lock = GpuLock("cpu:x", folder=tmp_path)
    if kind == "folder":
        lock.path.mkdir()
    elif kind == "pipe":
        os.mkfifo(lock.path)
    else:
        (tmp_path / "precious").write_text("keep")
        lock.path.symlink_to(tmp_path / "precious")
    with pytest.raises(UserError, match="cannot be locked"):
        lock.__enter__()
    assert kind != "link" or (tmp_path / "precious").read_text() == "keep"


def test_a_folder_that_cannot_be_written_is_one_message(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"cannot be locked .*; .*HARNESS_LOCKS"):
        GpuLock("cpu:x", folder=tmp_path / "missing").__enter__()
