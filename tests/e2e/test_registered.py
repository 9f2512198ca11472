"""An exported folder in MLflow's registry: name, version, alias, signature, tags, a model that answers."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from harness.data.base_model import EMBEDDED
from harness.errors import UserError
from harness.records import ExportRecord
from harness.tracking.mlflow import check_registering, default_uri, register_export

RECORD = ExportRecord(
    run="embedded-1",
    comparison="embedded",
    arm="orpo",
    seed=0,
    chosen_by="named",
    form="full",
    model="embedded",
    model_revision=None,
    data="embedded",
    stages={"orpo/orpo@0": "ab12"},
    code=None,
    margin=0.02,
    files={},
)


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_it_is_a_version_with_alias_tags_and_signature_and_answers(tmp_path: Path) -> None:
    import mlflow

    folder = tmp_path / "winner"
    shutil.copytree(EMBEDDED, folder)
    runs = tmp_path / "runs"
    runs.mkdir()
    said = [register_export(folder, RECORD, "my-model", alias, runs) for alias in (None, "champion")]
    assert said == ["models:/my-model/1", "models:/my-model/2"]
    client = mlflow.MlflowClient(default_uri(runs))
    version = client.get_model_version_by_alias("my-model", "champion")
    assert str(version.version) == "2"
    assert version.tags["run"] == "embedded-1"
    assert version.tags["stage.orpo.orpo.0"] == "ab12"
    mlflow.set_tracking_uri(default_uri(runs))
    try:
        info = mlflow.models.get_model_info("models:/my-model@champion")
        assert [one.type.name for one in info.signature.inputs.inputs] == ["string"]
        loaded = mlflow.transformers.load_model("models:/my-model@champion")
    finally:
        mlflow.set_tracking_uri(None)
    assert loaded("reverse these words : gold owl", max_new_tokens=4)[0]["generated_text"]


@pytest.mark.parametrize(
    ("name", "alias", "form", "said"),
    [
        ("a/b", None, "full", "is no model's name"),
        ("", None, "full", "is no model's name"),
        ("mine", "v2", "full", "is no alias"),
        ("mine", "the best", "full", "is no alias"),
        ("mine", None, "gguf", "takes models that transformers loads"),
    ],
)
def test_what_the_registry_does_not_take_is_said_first(
    name: str, alias: str | None, form: str, said: str, tmp_path: Path
) -> None:
    with pytest.raises(UserError, match=said):
        check_registering(name, alias, form, tmp_path)


@pytest.mark.slow
def test_what_mlflow_says_is_one_message(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="MLflow did not register it"):
        register_export(tmp_path / "empty", RECORD, "mine", None, tmp_path)
