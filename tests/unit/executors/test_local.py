"""Jobs on places of this machine: one on each, in order, ended when they are asked to."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from harness.errors import UserError
from harness.executors import CORES, PLACE, THREADS, Handle, Job, JobState, Place
from harness.executors.local import Local, places_here
from harness.executors.opening import spreads
from harness.measure import gpus
from harness.measure.gpus import Gpu
from harness.pipeline.executor_spec import LocalSpec, RaySpec

TWO = [Place("here", "cpu:x:1", f"core {core}", {CORES: str(core)}) for core in (0, 1)]
UNTIL_ASKED = (
    "import signal, time; signal.signal(signal.SIGINT, signal.default_int_handler); "
    "print('up', flush=True); time.sleep(60)"
)
"""Also where whoever runs the tests has SIGINT ignored, which a child inherits."""


def job(folder: Path, name: str, code: str, needs: tuple[str, ...] = ()) -> Job:
    (folder / name).mkdir()
    return Job(name, folder / name, (sys.executable, "-c", code), {"JOB": name}, needs=needs)


def wait_for(handle: Handle, *states: JobState, seconds: float = 20.0) -> None:
    until = time.monotonic() + seconds
    while handle.state() not in states:
        assert time.monotonic() < until, handle.state()
        time.sleep(0.02)


def test_one_job_runs_on_each_place_and_the_next_when_one_is_free(tmp_path: Path) -> None:
    local = Local(TWO)
    first = local.start(job(tmp_path, "first", UNTIL_ASKED))
    second = local.start(
        job(tmp_path, "second", f"import os; print(os.environ['{PLACE}'], os.environ['JOB'])")
    )
    third = local.start(job(tmp_path, "third", UNTIL_ASKED))
    assert (first.place(), second.place(), third.place()) == (TWO[0], TWO[1], None)
    wait_for(second, "finished")
    wait_for(third, "running")
    assert third.place() == TWO[1]
    # An interpreter that is asked to end while it begins ends by a code of its own.
    until = time.monotonic() + 20
    while any("up" not in (tmp_path / name / "log.txt").read_text() for name in ("first", "third")):
        assert time.monotonic() < until
        time.sleep(0.02)
    assert (tmp_path / "second" / "log.txt").read_text() == "here, core 1 second\n"
    local.close()
    assert (first.state(), third.state()) == ("lost", "lost")


def test_a_job_waits_for_what_it_needs(tmp_path: Path) -> None:
    local = Local(TWO)
    needed = local.start(job(tmp_path, "needed", "import time; time.sleep(0.3)"))
    needing = local.start(job(tmp_path, "needing", "pass", needs=("needed", "of an earlier command")))
    assert needing.state() == "waiting"
    wait_for(needed, "finished")
    wait_for(needing, "finished")


def test_a_code_is_a_failure_and_a_signal_a_loss(tmp_path: Path) -> None:
    local = Local(TWO)
    failed = local.start(job(tmp_path, "failed", "raise SystemExit(3)"))
    killed = local.start(job(tmp_path, "killed", "import os; os.kill(os.getpid(), 9)"))
    wait_for(failed, "failed")
    wait_for(killed, "lost")


def test_a_job_that_is_stopped_hears_of_it_first(tmp_path: Path) -> None:
    # A shell that runs this in the background has SIGINT ignored, and Python then leaves it so.
    code = "import signal, time\nsignal.signal(signal.SIGINT, signal.default_int_handler)\n"
    code += "try:\n print('up', flush=True)\n time.sleep(60)\nexcept KeyboardInterrupt:\n print('asked')"
    local = Local(TWO)
    stopped = local.start(job(tmp_path, "stopped", code))
    log = tmp_path / "stopped" / "log.txt"
    while not log.exists() or "up" not in log.read_text():
        time.sleep(0.02)
    stopped.stop()
    assert log.read_text() == "up\nasked\n"


def test_cores_are_split_into_equal_groups(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpus, "visible_gpus", lambda: ())
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {0, 1, 2, 5, 6}, raising=False)
    places = places_here(LocalSpec(devices=2))
    assert [place.variables for place in places] == [
        {THREADS: "2", CORES: "0,1"},
        {THREADS: "2", CORES: "2,5"},
    ]
    assert len({place.kind for place in places}) == 1
    assert places[0].kind.endswith(":2")
    with pytest.raises(UserError, match=r"6 devices asked for, and 5 core\(s\)"):
        places_here(LocalSpec(devices=6))


def cards(*names: str) -> tuple[Gpu, ...]:
    return tuple(Gpu("cuda", f"GPU-{i}", name, f"GPU-{i}") for i, name in enumerate(names))


def places_with(monkeypatch: pytest.MonkeyPatch, found: Any, wanted: str, spec: LocalSpec) -> list[Place]:
    monkeypatch.setattr(gpus, "visible_gpus", lambda: found)
    monkeypatch.setenv(gpus.DEVICE, wanted)
    return places_here(spec)


def test_a_place_is_one_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    found = places_with(monkeypatch, cards("H", "H", "H"), "", LocalSpec(devices="all"))
    assert [(place.device, place.variables) for place in found] == [
        (f"cuda:GPU-{i}", {gpus.DEVICE: f"GPU-{i}"}) for i in range(3)
    ]
    assert {place.kind for place in found} == {"cuda:H"}
    named = places_with(monkeypatch, cards("H", "A", "H"), "0,2", LocalSpec())
    assert [place.device for place in named] == ["cuda:GPU-0", "cuda:GPU-2"]


def test_gpus_of_several_kinds_and_too_few_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UserError, match=r"several kinds of GPU \(cuda:H, cuda:A\)"):
        places_with(monkeypatch, cards("H", "A"), "", LocalSpec(devices=2))
    with pytest.raises(UserError, match=r"3 devices asked for, and 1 GPU\(s\)"):
        places_with(monkeypatch, cards("H"), "", LocalSpec(devices=3))


def test_one_device_is_as_it_always_was(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(gpus.DEVICE, raising=False)
    assert not spreads(LocalSpec())
    assert spreads(LocalSpec(devices=2))
    assert spreads(RaySpec())
    monkeypatch.setenv(gpus.DEVICE, "0,1")
    assert spreads(LocalSpec())
