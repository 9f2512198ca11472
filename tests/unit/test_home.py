"""A home folder that cannot be written to: one line, and libraries write elsewhere."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from harness.cli.home import make_do_without_home

NOWHERE = "/proc/nowhere"
VARIABLES = ("HOME", "MPLCONFIGDIR", "HF_HOME", "XDG_CACHE_HOME", "TRITON_CACHE_DIR")
PLOT = "from harness.cli.home import make_do_without_home; make_do_without_home(); import matplotlib.pyplot"
needs_proc = pytest.mark.skipif(not Path("/proc/self").exists(), reason="takes a folder that nobody can make")


@pytest.fixture
def variables(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> pytest.MonkeyPatch:
    """None of the variables is set; what is set meanwhile is taken back."""
    for name in (*VARIABLES, "HF_DATASETS_CACHE", "HF_MODULES_CACHE"):
        monkeypatch.setenv(name, "to be taken back")
        monkeypatch.delenv(name)
    monkeypatch.setattr("tempfile.gettempdir", lambda: str(tmp_path))
    return monkeypatch


@pytest.mark.slow
@needs_proc
def test_matplotlib_itself_says_nothing_more(tmp_path: Path) -> None:
    kept = {name: value for name, value in os.environ.items() if name not in VARIABLES}
    done = subprocess.run(
        [sys.executable, "-c", PLOT],
        capture_output=True,
        text=True,
        env={**kept, "HOME": NOWHERE, "TMPDIR": str(tmp_path)},
        check=True,
    )
    line, *more = done.stderr.strip().splitlines()
    assert line.startswith(f"harness: {NOWHERE}: this home cannot be written to; caches of libraries go")
    assert str(tmp_path / f"orpo-harness-{os.getuid()}" / "matplotlib") in line
    assert [one for one in more if "font cache" not in one] == []


@needs_proc
def test_places_that_the_user_named_stay(variables: pytest.MonkeyPatch, capsys: Any) -> None:
    variables.setenv("HOME", NOWHERE)
    for name in ("MPLCONFIGDIR", "HF_HOME", "TRITON_CACHE_DIR"):
        variables.setenv(name, "mine")
    make_do_without_home()
    assert {os.environ[name] for name in ("MPLCONFIGDIR", "HF_HOME", "TRITON_CACHE_DIR")} == {"mine"}
    assert capsys.readouterr().err == ""


def test_models_that_were_fetched_are_still_read_there(
    variables: pytest.MonkeyPatch, tmp_path: Path, capsys: Any
) -> None:
    (tmp_path / "home" / ".cache" / "huggingface").mkdir(parents=True)
    variables.setenv("HOME", str(tmp_path / "home"))
    variables.setattr(os, "access", lambda place, mode: not mode & os.W_OK)
    make_do_without_home()
    assert "HF_HOME" not in os.environ
    assert os.environ["HF_DATASETS_CACHE"].startswith(str(tmp_path))
    assert "this home cannot be written to" in capsys.readouterr().err


def test_a_home_that_can_be_written_is_left_alone(
    variables: pytest.MonkeyPatch, tmp_path: Path, capsys: Any
) -> None:
    variables.setenv("HOME", str(tmp_path))
    make_do_without_home()
    assert "MPLCONFIGDIR" not in os.environ
    assert capsys.readouterr().err == ""


@needs_proc
def test_a_folder_that_another_laid_there_is_not_used(variables: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "trap").mkdir()
    (tmp_path / f"orpo-harness-{os.getuid()}").symlink_to(tmp_path / "trap")
    variables.setenv("HOME", NOWHERE)
    variables.setattr("tempfile.tempdir", str(tmp_path))
    make_do_without_home()
    assert "trap" not in str(Path(os.environ["MPLCONFIGDIR"]).resolve())
