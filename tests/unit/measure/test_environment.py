"""Where a figure was measured."""

from __future__ import annotations

import hashlib
import subprocess
from pathlib import Path
from typing import Any

import pytest

from harness.measure import environment
from harness.measure.environment import UNKNOWN_DEVICE, collect, constraints_digest, git_state, versions


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


class FakeNvml:
    def __init__(self, **facts: str | None) -> None:
        self._facts = {"uuid": None, "driver": None, **facts}

    def facts(self) -> dict[str, str | None]:
        return self._facts


@pytest.mark.parametrize(
    ("nvml", "nodes", "visible", "identity"),
    [
        (FakeNvml(uuid="GPU-1"), True, "0", "cuda:GPU-1"),
        (FakeNvml(), True, "0", UNKNOWN_DEVICE),
        (None, True, "0", UNKNOWN_DEVICE),
        (None, True, "", "cpu"),
        (FakeNvml(uuid="GPU-1"), True, "-1", "cpu"),
        (None, False, "0", "cpu"),
    ],
)
def test_a_gpu_that_nobody_names_is_unknown(
    nvml: Any, nodes: bool, visible: str, identity: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(environment, "open_nvml", lambda: (nvml, None if nvml else "no library"))
    monkeypatch.setattr(environment, "GPU_NODES", (str(tmp_path),) if nodes else ())
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    found = environment.device_identity()
    assert found == identity or (identity == "cpu" and found.startswith("cpu:"))


def test_versions_that_a_digest_covers_are_recorded_beside_the_usual_ones() -> None:
    assert "jinja2" not in collect("cpu").versions
    assert collect("cpu", ["jinja2", "python", "not-installed"]).versions["jinja2"]
