"""A tiny finished run, once for all tests of what comes after one; each takes a copy."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from as_user import harness

SMALL = ("--set", "data.limit=256", "--set", "data.test_limit=40", "--seeds", "1", "--arms", "sft,orpo")
OTHERS = ("--set", "baseline=sft", "--set", "cost_reference=sft", "--set", "questions=[]")


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A root with one run of SFT and ORPO, whose answers were graded."""
    out = Path(tmp_path_factory.mktemp("finished")) / "runs"
    harness("compare", *SMALL, *OTHERS, "--score", "preference rubric", "--out", str(out))
    return out


@pytest.fixture(scope="module")
def runs(finished: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of it for one file of tests."""
    return Path(shutil.copytree(finished, tmp_path_factory.mktemp("copy") / "runs", symlinks=True))
