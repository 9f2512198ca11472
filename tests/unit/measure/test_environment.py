"""Where a figure was measured."""

from __future__ import annotations

import hashlib
import os
import subprocess
from pathlib import Path

import pytest
from fake_torch import use

from harness.measure import environment, gpus
from harness.measure.environment import UNKNOWN_DEVICE, collect, constraints_digest, git_state, versions
from harness.measure.gpus import Choice, Gpu


def test_a_cpu_has_no_gpu_facts() -> None:
    found = collect("cpu")
    assert (found.device, found.gpu_uuid, found.driver) == ("cpu", None, None)
    assert found.cpu_count >= 1
    assert found.host_memory_bytes > 1 << 20
    assert found.lock_digest is not None


def test_constraints_are_known_by_their_bytes(tmp_path: Path) -> None:
    path = tmp_path / "constraints.txt"
    assert constraints_digest(path) is None
    path.write_text("torch==2.13.0\n")
    assert constraints_digest(path) == hashlib.sha256(b"torch==2.13.0\n").hexdigest()[:16]


def git(folder: Path, *arguments: str) -> None:
    identity = ("-c", "user.name=x", "-c", "user.email=x@example.org")
    subprocess.run(["git", "-C", str(folder), *identity, *arguments], check=True, capture_output=True)


def test_an_edited_file_makes_the_tree_dirty(tmp_path: Path) -> None:
    assert git_state(tmp_path) == (None, None)
    git(tmp_path, "init")
    (tmp_path / "a").write_text("1")
    git(tmp_path, "add", "a")
    git(tmp_path, "commit", "-m", "one")
    commit, dirty = git_state(tmp_path)
    assert (len(str(commit)), dirty) == (40, False)
    (tmp_path / "a").write_text("2")
    assert git_state(tmp_path) == (commit, True)


def test_versions_of_what_makes_results_are_found() -> None:
    assert versions()["torch"]


@pytest.mark.parametrize(
    ("gpu", "identity"),
    [
        (Gpu("cuda", "GPU-1", uuid="GPU-1"), "cuda:GPU-1"),
        (Gpu("cuda", "MIG-1", uuid="MIG-1"), "cuda:MIG-1"),
        (Gpu("rocm", "0", uuid="GPU-2"), "rocm:GPU-2"),
        (Gpu("cuda", "0"), UNKNOWN_DEVICE),
        (None, f"cpu:{environment.cpu_name()}:{os.cpu_count()}"),
    ],
)
def test_a_cost_belongs_to_the_chosen_device(
    gpu: Gpu | None, identity: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gpus, "chosen", lambda: Choice(gpu))
    assert environment.device_identity() == identity


def test_a_gpu_is_named_by_torch_where_nvml_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    use(monkeypatch, "cuda")
    monkeypatch.setattr(environment, "open_nvml", lambda: (None, "no library"))
    monkeypatch.setenv(gpus.OTHERS, "3")
    found = collect("cuda")
    assert (found.device_name, found.gpu_uuid, found.other_gpus) == ("a cuda", "GPU-12-34", 3)


def test_versions_that_a_digest_covers_are_recorded_beside_the_usual_ones() -> None:
    assert "jinja2" not in collect("cpu").versions
    assert collect("cpu", ["jinja2", "python", "not-installed"]).versions["jinja2"]


def test_what_a_process_was_made_of_is_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Forked stages run what their server imported, whatever was committed or installed since."""
    before = collect("cpu")
    monkeypatch.setattr(environment, "git_state", lambda: ("later", True))
    monkeypatch.setattr(environment, "lock_digest", lambda: "later")
    assert collect("cpu") == before


def test_the_cores_of_a_process_are_told_in_spans(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {0, 1, 2, 8, 11, 10})
    assert environment.cores() == "0-2,8,10-11"
    assert environment.collect("cpu").kind_of_device.endswith(", 6 cores")
