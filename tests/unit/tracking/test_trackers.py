"""Other trackers, with stand-ins of their packages, and one that is not installed."""

from __future__ import annotations

import io
import json
import sys
import types
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from unit.tracking.made import messages, rows

from harness import registry
from harness.commands import compare
from harness.errors import UserError
from harness.pipeline.load import load_comparison
from harness.pipeline.overrides import Overrides
from harness.records import ComparisonRecord
from harness.running.resolve import resolve
from harness.running.tracking import Tracking
from harness.store.run_dir import RunRoot
from harness.tracking import check_installed, load_tracker

OTHERS = sorted(set(registry.names("trackers")) - {"mlflow"})


class StandIn:
    """What a package was told: settings, values and end of every run, by name."""

    def __init__(self) -> None:
        self.settings: dict[str, dict[str, Any]] = {}
        self.values: dict[str, dict[tuple[str, int], float]] = {}
        self.finished: list[str] = []

    def log(self, run: str, values: dict[str, Any], step: int) -> None:
        for name, value in values.items():
            self.values.setdefault(run, {})[name, step] = value


class _Run:
    """A run of wandb or of trackio, which have the same calls."""

    def __init__(self, told: StandIn, name: str) -> None:
        self.told, self.name, self.summary = told, name, dict[str, Any]()

    def define_metric(self, name: str, step_metric: str) -> None:
        assert (name, step_metric) == ("*", "step")

    def log(self, values: dict[str, Any], step: int | None = None) -> None:
        values = dict(values)
        self.told.log(self.name, values, values.pop("step") if step is None else step)

    def finish(self, exit_code: int = 0) -> None:
        self.told.finished.append(self.name)


def stand_in_for_runs(monkeypatch: pytest.MonkeyPatch, package: str) -> StandIn:
    told = StandIn()

    def init(*, project: str, name: str, group: str, config: dict[str, Any], **_: Any) -> _Run:
        key = name.removeprefix(f"{group}/")
        told.settings[key] = config
        return _Run(told, key)

    module = types.ModuleType(package)
    module.init = init  # type: ignore[attr-defined]
    module.Settings = dict  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, package, module)
    return told


def stand_in_for_tensorboard(monkeypatch: pytest.MonkeyPatch, root: Path, run_id: str) -> StandIn:
    told = StandIn()

    class Message(types.SimpleNamespace):
        def __init__(self, **fields: Any) -> None:
            super().__init__(**fields)

    class Summary(Message):
        Value = Message

    class SummaryMetadata(Message):
        PluginData = Message

    class TensorShapeProto(Message):
        Dim = Message

    class EventFileWriter:
        def __init__(self, folder: str) -> None:
            name = str(Path(folder).relative_to(root / "tensorboard" / run_id))
            self.name = run_id if name == "comparison" else name

        def add_event(self, event: Any) -> None:
            for value in event.summary.value:
                if hasattr(value, "simple_value"):
                    told.log(self.name, {value.tag: value.simple_value}, event.step)
                elif value.tag == "settings":
                    told.settings[self.name] = json.loads(value.tensor.string_val[0])

        def flush(self) -> None: ...

        def close(self) -> None:
            told.finished.append(self.name)

    contents: dict[str, dict[str, Any]] = {
        "tensorboard": {},
        "tensorboard.summary": {},
        "tensorboard.summary.writer": {},
        "tensorboard.summary.writer.event_file_writer": {"EventFileWriter": EventFileWriter},
        "tensorboard.compat": {},
        "tensorboard.compat.proto": {},
        "tensorboard.compat.proto.event_pb2": {"Event": Message},
        "tensorboard.compat.proto.summary_pb2": {"Summary": Summary, "SummaryMetadata": SummaryMetadata},
        "tensorboard.compat.proto.tensor_pb2": {"TensorProto": Message},
        "tensorboard.compat.proto.tensor_shape_pb2": {"TensorShapeProto": TensorShapeProto},
    }
    for name, members in contents.items():
        module = types.ModuleType(name)
        vars(module).update(members)
        monkeypatch.setitem(sys.modules, name, module)
    return told


@pytest.mark.parametrize("name", OTHERS)
def test_every_tracker_is_told_the_record(
    name: str, root: RunRoot, record: ComparisonRecord, report: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if name == "tensorboard":
        told = stand_in_for_tensorboard(monkeypatch, root.path, record.id)
    else:
        told = stand_in_for_runs(monkeypatch, name)
    heard = io.StringIO()
    with Tracking([name], root, "made", Console(file=heard, width=200)) as tracking:
        tracking.plans(record.plan)
        for digest in ("prep", "orpo0"):
            stage = record.plan.stages[digest]
            tracking.begins(stage)
            for message in messages() if stage.kind == "train" else []:
                tracking.hears(stage, message)
            tracking.ends(stage, record.results[digest])
        tracking.completes(record, report)
    assert heard.getvalue() == ""
    assert len(told.settings) == 1 + 6 + 8
    assert sorted(told.finished) == sorted(told.settings)
    assert told.settings["orpo@0"]["learning_rate"] == 0.1
    for stage_run in ("orpo/orpo@0", "orpo/orpo@1"):
        values = told.values[stage_run]
        for row in rows():
            group = "train" if "loss" in row["metrics"] else "probe"
            for metric, value in row["metrics"].items():
                assert values[f"{group}/{metric.removeprefix('probe_')}", row["step"]] == value
    assert told.values["sft_dpo@1"]["cost/wall_seconds", 0] == pytest.approx(44.0)


@pytest.mark.parametrize("name", OTHERS)
def test_a_tracker_that_is_not_installed_is_one_message(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = load_tracker(name).PACKAGE
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(UserError, match=f"{name} is asked for and its package is not installed; pip install"):
        check_installed([name])
    assert package == name


def test_a_comparison_names_its_trackers_before_anything_long(tmp_path: Path) -> None:
    out = tmp_path / "runs"
    asked = Overrides(sets=("tracking=[mlflow, wandb]",))
    if "wandb" not in sys.modules:
        with pytest.raises(UserError, match="wandb is asked for and its package is not installed"):
            compare.run_comparison("embedded", asked, out=out, console=Console(quiet=True))
        assert not out.exists()
    with pytest.raises(UserError, match='unknown tracker "wandbb"; did you mean "wandb"'):
        compare.run_comparison(
            "embedded", Overrides(sets=("tracking=[wandbb]",)), out=out, console=Console(quiet=True)
        )


def test_who_watches_is_no_part_of_the_plan() -> None:
    from harness.pipeline.find import find_file
    from harness.pipeline.plan import plan_comparison

    path = find_file("embedded", "comparison")
    plain = load_comparison(path)
    watched = load_comparison(path, Overrides(sets=("tracking=[]",)))
    assert (plain.tracking, watched.tracking) == (["mlflow"], [])
    assert plan_comparison(plain, resolve(plain)) == plan_comparison(watched, resolve(watched))
