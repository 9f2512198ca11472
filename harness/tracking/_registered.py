"""An exported folder as a version of a registered model: `python -m harness.tracking._registered`.

A process of its own, since MLflow loads the model to save it. Reads one JSON object, and prints one.
"""

from __future__ import annotations

import json
import sys
from typing import Any

SIGNATURE = (["a prompt"], ["an answer"])


def register(asked: dict[str, Any]) -> dict[str, Any]:
    """Log the model into the comparison's experiment, register it, and set its alias."""
    import mlflow
    import transformers

    mlflow.set_tracking_uri(asked["uri"])
    client = mlflow.MlflowClient()
    known = client.get_experiment_by_name(asked["experiment"])
    experiment = (
        known.experiment_id if known else client.create_experiment(asked["experiment"], asked["artifacts"])
    )
    # Versions of transformers describe tasks in ways that MLflow does not know, unless the model is loaded.
    pipeline = transformers.pipeline("text-generation", model=asked["folder"], tokenizer=asked["folder"])
    with mlflow.start_run(experiment_id=experiment, run_name=asked["run_name"], tags=asked["tags"]):
        logged = mlflow.transformers.log_model(
            transformers_model=pipeline,
            name="model",
            signature=mlflow.models.infer_signature(*SIGNATURE),
            registered_model_name=asked["name"],
            tags=asked["tags"],
            pip_requirements=asked["requirements"],
        )
    version = str(logged.registered_model_version)
    for key, value in asked["tags"].items():
        client.set_model_version_tag(asked["name"], version, key, value)
    if asked["alias"]:
        client.set_registered_model_alias(asked["name"], asked["alias"], version)
    return {"name": asked["name"], "version": version, "uri": f"models:/{asked['name']}/{version}"}


if __name__ == "__main__":
    print(json.dumps(register(json.load(sys.stdin))))
