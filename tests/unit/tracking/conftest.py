"""A finished comparison on disk, and an empty MLflow database that is made once."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from synthetic import make_record
from unit.tracking.made import rows

from harness.records import ComparisonRecord, StageRequest
from harness.store.run_dir import RunRoot


@pytest.fixture(scope="session")
def empty_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Making its tables takes seconds, copying them none."""
    from mlflow import MlflowClient

    file = tmp_path_factory.mktemp("mlflow") / "mlflow.db"
    MlflowClient(f"sqlite:///{file}").search_experiments()
    return file


@pytest.fixture
def record() -> ComparisonRecord:
    """Two seeds of three arms whose training stages left weights."""
    made = make_record()
    results = {
        digest: found.model_copy(update={"outputs": {**found.outputs, "model": "model"}})
        if found.kind == "train"
        else found
        for digest, found in made.results.items()
    }
    return made.model_copy(update={"results": results})


@pytest.fixture
def root(
    tmp_path: Path, empty_database: Path, record: ComparisonRecord, monkeypatch: pytest.MonkeyPatch
) -> RunRoot:
    """A root with every stage of `record` and an MLflow database beside them."""
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.setenv("MLFLOW_ENABLE_SYSTEM_METRICS_LOGGING", "false")
    root = RunRoot(tmp_path / "runs")
    root.open_for_writing()
    shutil.copy(empty_database, root.path / "mlflow.db")
    root.write_record(record)
    for digest, found in record.results.items():
        asked = StageRequest(digest=digest, kind="train", name="x", seed=0, config={})
        folder = root.start_stage(asked, owner=record.id)
        (folder / "result.json").write_text(found.model_dump_json())
        if found.kind == "train":
            (folder / "steps.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows()))
    return root


@pytest.fixture
def report(tmp_path: Path) -> Path:
    folder = tmp_path / "report"
    folder.mkdir()
    (folder / "report.md").write_text("# The answer\n\n## One\n\n## Two\n")
    return folder
