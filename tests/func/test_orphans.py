"""No stage outlives its command, and no result is taken for another's: with real processes and signals."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from func.test_stages import ROOT, start

from harness import at_work
from harness.errors import StageFailed, UserError
from harness.records import StageRequest
from harness.stages import runner
from harness.store.run_dir import RunRoot
from harness.store.stage_files import read_whole

MARK = "STARTED_BY_THE_TEST_IN"
LONG = {"max_length": 64, "limit": 20_000}
COMMAND = """
import sys
from pathlib import Path
from harness.stages import runner
runner.run_stage(Path(sys.argv[1]), name="t", listen=lambda message: None)
"""
needs_proc = pytest.mark.skipif(not Path("/proc/self/cmdline").exists(), reason="finds processes in /proc")


def stages_in(folder: Path) -> list[int]:
    """Processes of stages whose folder lies in `folder`, and what forks them; zombies left out."""
    found = []
    for process in Path("/proc").iterdir():
        if process.name.isdigit():
            try:
                words = (process / "cmdline").read_text()
                environment = (process / "environ").read_text(errors="replace")
            except OSError:
                continue
            stage = "harness.stages.child" in words and str(folder) in words
            if stage or ("harness.stages.fork_server" in words and f"{MARK}={folder}" in environment):
                found.append(int(process.name))
    return found


def wait_for(condition: Any, seconds: float = 30.0) -> None:
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, "it did not come"
        time.sleep(0.05)


@needs_proc
@pytest.mark.parametrize("stopped", [False, True])
def test_a_stage_ends_with_a_command_that_is_killed(tmp_path: Path, stopped: bool) -> None:
    folder = start(tmp_path, data=LONG)
    command = subprocess.Popen([sys.executable, "-c", COMMAND, str(folder)], cwd=ROOT)
    wait_for(lambda: (folder / at_work.AT_WORK).exists())
    (child,) = stages_in(folder)
    if stopped:
        os.kill(child, signal.SIGSTOP)
    command.kill()
    command.wait()
    wait_for(lambda: not stages_in(folder), seconds=5.0)
    assert not (folder / "result.json").exists()


@pytest.mark.slow
@needs_proc
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_command_that_is_asked_to_end_ends_its_stage_and_says_so(tmp_path: Path, number: int) -> None:
    arguments = ["compare", "embedded", "--seeds", "1", "--set", "data.limit=64", "--out", str(tmp_path)]
    command = subprocess.Popen(
        [sys.executable, "-m", "harness", *arguments],
        cwd=ROOT,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, MARK: str(tmp_path)},
        # Who runs the tests may have signals ignored, which a child inherits.
        preexec_fn=lambda: signal.signal(number, signal.SIG_DFL),
    )
    wait_for(lambda: stages_in(tmp_path) or command.poll() is not None, seconds=60.0)
    command.send_signal(number)
    _, said = command.communicate(timeout=90)
    assert command.returncode == 128 + number
    assert "interrupted; finished stages are kept" in said
    assert stages_in(tmp_path) == []
    assert "Traceback" not in said


def test_the_result_of_another_attempt_is_not_taken(tmp_path: Path) -> None:
    folder = start(tmp_path, kind="judge", benchmarks={})

    def asked_again(message: dict[str, Any]) -> None:
        if message.get("phase") == "start-up":
            asked = StageRequest.model_validate_json((folder / "request.json").read_text())
            again = asked.model_copy(update={"attempt": "second"})
            (folder / "request.json").write_text(again.model_dump_json())

    with pytest.raises(StageFailed, match="its result is of another attempt"):
        runner.run_stage(folder, name="t", listen=asked_again)
    assert read_whole(folder) is None


def test_a_folder_in_which_a_process_works_is_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(at_work, "DYING_SECONDS", 0.2)
    root = RunRoot(tmp_path)
    asked = StageRequest(digest="d", kind="prepare", name="t", seed=0, config={})
    folder = root.start_stage(asked, owner="run")
    with at_work.working_in(folder):
        (folder / "half").touch()
        with pytest.raises(UserError, match=rf"still runs this stage \(process {os.getpid()}\)"):
            root.start_stage(asked, owner="run")
        assert (folder / "half").exists()
    root.start_stage(asked, owner="run")
    assert not (folder / "half").exists()
