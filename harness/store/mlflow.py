"""MLflow as a projection of the run folder: comparison -> cells -> stages as nested runs.

Written after the work, off every clock, and read back through the records it holds as artifacts,
never through its metrics.
"""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import Any

from harness.errors import UserError
from harness.records import ComparisonRecord
from harness.store._mlflow_writer import RUN_TAG, STAGES_TAG, Writer, stages_of
from harness.store.run_dir import RunRoot, read_record

MOST_RUNS = 10_000


def project(
    record: ComparisonRecord, root: RunRoot, *, tracking_uri: str | None, report_folder: Path | None
) -> str:
    """Write `record` to MLflow once; returns the parent's MLflow run id.

    A second call for the same stages finds the first one's runs and only renews the report; where more was
    scored since, the runs are written anew and the old ones deleted.
    """
    client = _client(root, tracking_uri)
    experiment = _experiment(client, record.name, root, tracking_uri)
    same_record = f"tags.`{RUN_TAG}` = '{record.id}'"
    parents = client.search_runs([experiment], f"{same_record} and tags.`harness.kind` = 'comparison'")
    if parents and parents[0].data.tags.get(STAGES_TAG) == stages_of(record):
        parent = str(parents[0].info.run_id)
        if report_folder is not None:
            client.log_artifacts(parent, str(report_folder), "report")
        return parent
    for run in client.search_runs([experiment], same_record, max_results=MOST_RUNS) if parents else ():
        client.delete_run(run.info.run_id)
    writer = Writer(client, experiment, record, root)
    return writer.write(report_folder)


def default_uri(root: RunRoot) -> str:
    """The database beside the runs."""
    return f"sqlite:///{(root.path / 'mlflow.db').resolve()}"


def read_from(tracking_uri: str, run_id: str, into: Path) -> tuple[ComparisonRecord, RunRoot]:
    """A record and the files it needs, from a tracking server alone, laid out as a run root."""
    client = _client(RunRoot(into), tracking_uri)
    try:
        client.download_artifacts(run_id, "run", str(into))
    except Exception as error:
        raise UserError(
            f"MLflow has no harness run {run_id} ({error})",
            where=tracking_uri,
            remedy="give the run id of a comparison's parent run",
        ) from error
    record = read_record(into / "run")
    return record, RunRoot(into / "run")


def _client(root: RunRoot, tracking_uri: str | None) -> Any:
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    for name in ("mlflow", "alembic", "mlflow.store.db.utils"):
        logging.getLogger(name).setLevel(logging.ERROR)
    from mlflow import MlflowClient

    return MlflowClient(tracking_uri=tracking_uri or default_uri(root))


def _experiment(client: Any, name: str, root: RunRoot, tracking_uri: str | None) -> str:
    known = client.get_experiment_by_name(name)
    if known is not None:
        return str(known.experiment_id)
    location = None if tracking_uri else (root.path / "mlartifacts").resolve().as_uri()
    # The kind opens the experiment on its runs and metrics instead of on traces.
    kind = {"mlflow.experimentKind": "custom_model_development"}
    return str(client.create_experiment(name, artifact_location=location, tags=kind))
