"""`harness ui`: MLflow's own interface on the runs, on 127.0.0.1 alone."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

from harness.errors import UserError
from harness.tracking.mlflow import default_uri, experiments


def run(out: Path, *, port: int) -> int:
    """Serve until Ctrl-C."""
    if not (out / "mlflow.db").is_file():
        raise UserError(
            "holds no MLflow database yet",
            where=str(out),
            remedy="run `make compare`, which makes it when its first stage starts",
        )
    with socket.socket() as probe:
        if probe.connect_ex(("127.0.0.1", port)) == 0:
            raise UserError(f"port {port} is taken", remedy="give another by --port (make: PORT=)")
    # The query opens MLflow on runs and metrics; it would start with traces of language models.
    # An experiment's name, when clicked, leads to the former; this address leads to its runs.
    print("MLflow, until Ctrl-C:", flush=True)
    for name, number in experiments(out):
        page = f"http://127.0.0.1:{port}/#/experiments/{number}/runs?workflowType=machine_learning"
        print(f"  {name}: {page}", flush=True)
    command = [
        sys.executable,
        "-m",
        "mlflow",
        "server",
        "--backend-store-uri",
        default_uri(out),
        "--host",
        "127.0.0.1",
        "--port",
        str(port),
        "--workers",
        "1",
    ]
    server = subprocess.Popen(command, env={**os.environ, "MLFLOW_DISABLE_TELEMETRY": "true"})
    try:
        return server.wait()
    except KeyboardInterrupt:
        server.terminate()
        server.wait()
        return 0
