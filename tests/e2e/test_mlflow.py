"""A run in a tracking server, over http, and the report that comes back from it alone."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from unit.commands.test_replay import published

ROOT = Path(__file__).parents[2]


@pytest.fixture
def server(tmp_path: Path) -> Iterator[str]:
    """An MLflow tracking server on loopback that keeps artifacts itself."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port)]
    command += ["--backend-store-uri", f"sqlite:///{tmp_path / 'server.db'}", "--workers", "1"]
    command += ["--artifacts-destination", str(tmp_path / "artifacts")]
    log = (tmp_path / "server.log").open("wb")
    process = subprocess.Popen(command, cwd=tmp_path, stdout=log, stderr=log)
    url, deadline = f"http://127.0.0.1:{port}", time.monotonic() + 90
    while time.monotonic() < deadline:
        try:
            urllib.request.urlopen(f"{url}/health", timeout=2).read()
            break
        except OSError:
            time.sleep(0.5)
    yield url
    process.terminate()
    process.wait()


def harness(*arguments: str, **environment: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "harness", *arguments],
        capture_output=True,
        text=True,
        cwd=ROOT,
        timeout=200,
        check=False,
        env={**os.environ, **environment},
    )
    assert done.returncode == 0, done.stderr + done.stdout
    assert "was not written" not in done.stdout
    return done.stdout


def report_of(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "comparison.json").read_text())
    return found


@pytest.mark.slow
def test_a_report_from_a_server_alone_equals_the_folders(server: str, tmp_path: Path) -> None:
    from mlflow import MlflowClient

    out, far = tmp_path / "runs", tmp_path / "elsewhere"
    harness("replay", str(published(tmp_path / "results")), "--out", str(out), MLFLOW_TRACKING_URI=server)
    here = out / "latest" / "report"
    client = MlflowClient(server)
    experiment = client.get_experiment_by_name("results")
    (parent,) = client.search_runs([experiment.experiment_id], "tags.`harness.kind` = 'comparison'")
    assert parent.data.tags["mlflow.note.content"].startswith("# Replayed: results")
    names = {item.path for item in client.list_artifacts(parent.info.run_id, "report")}
    assert {"report/report.html", "report/report.md", "report/comparison.json"} <= names
    run = parent.info.run_id
    printed = harness("report", run, "--from-mlflow", server, "--out", str(far))
    there = Path(printed.strip()).parent
    assert report_of(there) == report_of(here)
    for name in ("report.md", "report.html", "tables/scores.tex", "tables/evidence.csv"):
        assert (there / name).read_text() == (here / name).read_text(), name
