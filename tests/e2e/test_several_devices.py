"""The embedded comparison with two processes a stage, as a user runs it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TINY = ["--set", "data.limit=72", "--set", "data.test_limit=20", "--seeds", "1", "--score", "preference"]


@pytest.mark.slow
@pytest.mark.longest
@pytest.mark.timeout(900)
@pytest.mark.parametrize("parallel", ["ddp", "fsdp2"])
def test_two_devices_a_stage_end_to_end(tmp_path: Path, parallel: str) -> None:
    asked = [
        "--arms",
        "sft_dpo,orpo",
        "--set",
        "training.devices=2",
        "--set",
        f"training.parallel={parallel}",
    ]
    done = subprocess.run(
        [sys.executable, "-m", "harness", "compare", *TINY, *asked, "--out", str(tmp_path)],
        capture_output=True,
        text=True,
        cwd=ROOT,
        timeout=800,
        check=False,
    )
    assert done.returncode == 0, done.stderr + done.stdout
    assert "x 2 = " in done.stdout
    report = tmp_path / "latest" / "report"
    data = json.loads((report / "comparison.json").read_text())
    assert {arm["cost"]["time_kind"] for arm in data["arms"].values()} == {"device_seconds"}
    parity = {check["check"]: check for check in data["parity"]}
    assert parity["devices"]["equal"] is True
    assert parity["devices"]["detail"].startswith(f"2 ({parallel})")
    text = (report / "report.md").read_text()
    assert "### Several devices a stage" in text
    assert "What each rank did and took" in text
    predicted = (report / "tables" / "predictions.csv").read_text()
    assert "FLOPs" in predicted
