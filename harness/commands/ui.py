"""`harness ui`: MLflow's own interface on the runs, on 127.0.0.1 alone."""

from __future__ import annotations

from pathlib import Path

from harness.errors import UserError
from harness.serving.child_server import HOST, Program, check_port, started
from harness.tracking.mlflow import default_uri, experiments

QUIET = {"MLFLOW_DISABLE_TELEMETRY": "true"}


def run(out: Path, *, port: int) -> int:
    """Serve until Ctrl-C."""
    if not (out / "mlflow.db").is_file():
        raise UserError(
            "holds no MLflow database yet",
            where=str(out),
            remedy="run `make compare`, which makes it when its first stage starts",
        )
    check_port(port, remedy="give another by --port (make: PORT=)")
    # The query opens MLflow on runs and metrics; it would start with traces of language models.
    # An experiment's name, when clicked, leads to the former; this address leads to its runs.
    print("MLflow, until Ctrl-C:", flush=True)
    for name, number in experiments(out):
        page = f"http://{HOST}:{port}/#/experiments/{number}/runs?workflowType=machine_learning"
        print(f"  {name}: {page}", flush=True)
    store = ["--backend-store-uri", default_uri(out)]
    command = ["server", *store, "--host", HOST, "--port", str(port), "--workers", "1"]
    with started(Program("mlflow", command, environment=QUIET), name="mlflow") as server:
        try:
            return server.wait()
        except KeyboardInterrupt:
            return 0
