"""MLflow: the comparison, its cells and their training stages as nested runs, the records as artifacts.

Read back through the records it holds as artifacts, never through its metrics.
"""

from __future__ import annotations

import os
import re
import shutil
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from harness.errors import UserError
from harness.records import ComparisonRecord, ExportRecord
from harness.store.run_dir import RunRoot, read_record
from harness.tracking import Place
from harness.tracking._mlflow_address import check_address, reach
from harness.tracking._mlflow_client import client
from harness.tracking._mlflow_models import check_model_name, register
from harness.tracking._mlflow_runs import MlflowRuns

PACKAGE = "mlflow"
WRITE_AGAIN = "harness report RUN --mlflow"
HOW_TO_NAME = "give the run id of a comparison's parent run"
URI_VARIABLE = "MLFLOW_TRACKING_URI"
KIND = {"mlflow.experimentKind": "custom_model_development"}
"""Opens an experiment on runs and metrics; without it MLflow guesses, and may open traces and prompts."""


def check() -> None:
    """Raise UserError where `MLFLOW_TRACKING_URI` is no address, or leads to no folder."""
    uri = os.environ.get(URI_VARIABLE)
    if uri:
        check_address(uri, reads=False)


def open_tracker(place: Place) -> MlflowRuns:
    """The comparison's experiment, in `MLFLOW_TRACKING_URI` or in the database beside the runs."""
    check()
    uri = os.environ.get(URI_VARIABLE)
    address = uri or default_uri(place.root)
    reach(address)
    opened = client(address)
    return MlflowRuns(opened, _experiment(opened, place, here=not uri))


def default_uri(root: Path) -> str:
    """The database beside the runs."""
    return f"sqlite:///{(root / 'mlflow.db').resolve()}"


def read_from(
    tracking_uri: str, run_id: str, into: Path, *, seconds: float = 60.0
) -> tuple[ComparisonRecord, RunRoot]:
    """A record and the files it needs, from a tracking server alone, laid out as a run root in `into`.

    Raises UserError where it is not all there within `seconds`; `into` then is as it was.
    """
    if not re.fullmatch(r"[\w-]+", run_id):
        raise UserError(f"{run_id!r} is no run id of MLflow", where=tracking_uri, remedy=HOW_TO_NAME)
    check_address(tracking_uri, reads=True)
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as temporary:
        failure = _within(seconds, lambda: _download(tracking_uri, run_id, temporary))
        if isinstance(failure, TimeoutError):
            raise UserError(
                f"did not answer within {seconds:g} s",
                where=tracking_uri,
                remedy="see whether the server is up, or give it longer by --timeout",
            )
        if isinstance(failure, OSError):
            raise UserError(str(failure), where=tracking_uri, remedy="see whether the server is up")
        if failure is not None:
            why = str(failure).strip().partition("\n")[0]
            raise UserError(
                f"MLflow has no harness run {run_id} ({why})", where=tracking_uri, remedy=HOW_TO_NAME
            ) from failure
        record = read_record(Path(temporary) / "run")
        shutil.copytree(Path(temporary) / "run", into / "run", dirs_exist_ok=True)
    return record, RunRoot(into / "run")


def _download(uri: str, run_id: str, into: str) -> None:
    reach(uri)
    client(uri).download_artifacts(run_id, "run", into)


def _within(seconds: float, call: Callable[[], None]) -> BaseException | None:
    """What `call` raised, or TimeoutError where it is not done in time; it is left behind then."""
    raised: list[BaseException] = []

    def caught() -> None:
        try:
            call()
        except BaseException as error:
            raised.append(error)

    thread = threading.Thread(target=caught, name="download", daemon=True)
    thread.start()
    thread.join(seconds)
    return TimeoutError() if thread.is_alive() else next(iter(raised), None)


def check_registering(name: str, alias: str | None, form: str, root: Path) -> None:
    """Raise UserError for what the registry does not take, GGUF among it, before anything long."""
    if form.startswith("gguf"):
        raise UserError(
            "MLflow's registry takes models that transformers loads by itself",
            where="--register",
            remedy="register another form, such as full or int8",
        )
    check_model_name(name, alias, os.environ.get(URI_VARIABLE) or default_uri(root))


def register_export(folder: Path, record: ExportRecord, name: str, alias: str | None, root: Path) -> str:
    """The exported folder as the next version of a registered model; gives its address."""
    artifacts = (root / "mlartifacts").resolve().as_uri()
    uri = os.environ.get(URI_VARIABLE) or default_uri(root)
    return register(folder, record, name, alias, uri, artifacts)


def experiments(root: Path) -> list[tuple[str, str]]:
    """Name and id of every comparison's experiment in a folder of runs, the newest first."""
    check_address(default_uri(root), reads=True)
    found = client(default_uri(root)).search_experiments(order_by=["last_update_time DESC"])
    return [(one.name, one.experiment_id) for one in found if one.name != "Default"]


def _experiment(client: Any, place: Place, *, here: bool) -> str:
    known = client.get_experiment_by_name(place.project)
    if known is None:
        location = (place.root / "mlartifacts").resolve().as_uri() if here else None
        return str(client.create_experiment(place.project, artifact_location=location, tags=KIND))
    for name, value in KIND.items():
        if known.tags.get(name) != value:
            client.set_experiment_tag(known.experiment_id, name, value)
    return str(known.experiment_id)
