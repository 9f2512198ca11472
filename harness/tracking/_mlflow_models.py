"""MLflow's model registry, written to by a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from harness.errors import UserError
from harness.records import ExportRecord
from harness.redact import redact
from harness.tracking._mlflow_address import check_address

REQUIREMENTS = ("torch", "transformers", "accelerate")
MARKS = "/:@"


def check_model_name(name: str, alias: str | None, uri: str) -> None:
    """Raise UserError for a name or an alias that the registry does not take, and for no address."""
    if not name.strip() or any(mark in name for mark in MARKS):
        raise UserError(f"{name!r} is no model's name", where="--register", remedy="leave out / : and @")
    if alias is not None and (
        (alias.lower().startswith("v") and alias[1:].isdigit()) or not alias.isidentifier()
    ):
        raise UserError(
            f"{alias!r} is no alias", where="--alias", remedy="give a word such as champion; v1 is a version"
        )
    check_address(uri, reads=False)


def register(
    folder: Path, record: ExportRecord, name: str, alias: str | None, uri: str, artifacts: str
) -> str:
    """Register the exported folder as the next version of `name`; gives `models:/name/version`.

    Raises UserError with MLflow's last line where it did not take it.
    """
    tags = {"run": record.run, "arm": record.arm, "seed": str(record.seed), "form": record.form}
    tags |= {
        f"stage.{role.replace('/', '.').replace('@', '.')}": digest for role, digest in record.stages.items()
    }
    asked = {
        "uri": uri,
        "experiment": record.comparison,
        "artifacts": artifacts,
        "folder": str(folder.resolve()),
        "run_name": f"export {record.arm}@{record.seed}",
        "name": name,
        "alias": alias,
        "tags": tags,
        "requirements": list(REQUIREMENTS),
    }
    done = subprocess.run(
        [sys.executable, "-m", "harness.tracking._registered"],
        input=json.dumps(asked),
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "HF_HUB_OFFLINE": "1", "MLFLOW_DISABLE_TELEMETRY": "true"},
    )
    if done.returncode != 0:
        said = redact((done.stderr.strip().splitlines() or ["no message"])[-1])
        raise UserError(
            f"MLflow did not register it ({said})",
            where=uri,
            remedy=f"the export lies in {folder}; see the server",
        )
    return str(json.loads(done.stdout.strip().splitlines()[-1])["uri"])
