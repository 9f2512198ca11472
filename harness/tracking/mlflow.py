"""MLflow: the comparison, its cells and their training stages as nested runs, the records as artifacts.

Read back through the records it holds as artifacts, never through its metrics.
"""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import Any

from harness.errors import UserError
from harness.records import ComparisonRecord
from harness.store.run_dir import RunRoot, read_record
from harness.tracking import Place
from harness.tracking._mlflow_runs import MlflowRuns

PACKAGE = "mlflow"
WRITE_AGAIN = "harness report RUN --mlflow"
URI_VARIABLE = "MLFLOW_TRACKING_URI"
KIND = {"mlflow.experimentKind": "custom_model_development"}
"""Opens an experiment on runs and metrics; without it MLflow guesses, and may open traces and prompts."""


def open_tracker(place: Place) -> MlflowRuns:
    """The comparison's experiment, in `MLFLOW_TRACKING_URI` or in the database beside the runs."""
    uri = os.environ.get(URI_VARIABLE)
    client = _client(uri or default_uri(place.root))
    return MlflowRuns(client, _experiment(client, place, here=uri is None))


def default_uri(root: Path) -> str:
    """The database beside the runs."""
    return f"sqlite:///{(root / 'mlflow.db').resolve()}"


def read_from(tracking_uri: str, run_id: str, into: Path) -> tuple[ComparisonRecord, RunRoot]:
    """A record and the files it needs, from a tracking server alone, laid out as a run root."""
    try:
        _client(tracking_uri).download_artifacts(run_id, "run", str(into))
    except Exception as error:
        raise UserError(
            f"MLflow has no harness run {run_id} ({str(error).strip().splitlines()[0]})",
            where=tracking_uri,
            remedy="give the run id of a comparison's parent run",
        ) from error
    record = read_record(into / "run")
    return record, RunRoot(into / "run")


def experiments(root: Path) -> list[tuple[str, str]]:
    """Name and id of every comparison's experiment in a folder of runs, the newest first."""
    found = _client(default_uri(root)).search_experiments(order_by=["last_update_time DESC"])
    return [(one.name, one.experiment_id) for one in found if one.name != "Default"]


def _client(uri: str) -> Any:
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    for name in ("mlflow", "alembic", "mlflow.store.db.utils"):
        logging.getLogger(name).setLevel(logging.ERROR)
    from mlflow import MlflowClient

    return MlflowClient(tracking_uri=uri)


def _experiment(client: Any, place: Place, *, here: bool) -> str:
    known = client.get_experiment_by_name(place.project)
    if known is None:
        location = (place.root / "mlartifacts").resolve().as_uri() if here else None
        return str(client.create_experiment(place.project, artifact_location=location, tags=KIND))
    for name, value in KIND.items():
        if known.tags.get(name) != value:
            client.set_experiment_tag(known.experiment_id, name, value)
    return str(known.experiment_id)
