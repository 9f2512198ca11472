"""`harness plan` and the options of the command line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from synthetic import ENVIRONMENT
from typer.testing import CliRunner

from harness import cli
from harness.commands import plan as command
from harness.pipeline.overrides import Overrides
from harness.records import CheckFacts, Covers, StageRequest, StageResult
from harness.store.run_dir import RunRoot

OVERRIDES = Overrides(arms=["orpo"], seeds="1", score=["preference"])


def planned(out: Path, capsys: Any, overrides: Overrides = OVERRIDES, **settings: Any) -> dict[str, Any]:
    capsys.readouterr()
    assert command.run("embedded", overrides, out=out, format_name="json", **settings) == 0
    found = json.loads(capsys.readouterr().out)
    return {**found, "stages": {stage["name"]: stage for stage in found["stages"]}}


def finish(out: Path, stage: dict[str, Any]) -> None:
    root = RunRoot(out)
    root.open_for_writing()
    covers = Covers.model_validate(stage["covers"])
    asked = {key: stage[key] for key in ("digest", "kind", "name", "seed")}
    folder = root.start_stage(StageRequest(**asked, config=covers.config, covers=covers), owner="run")
    result = StageResult(
        **asked, started_at="", finished_at="2026", environment=ENVIRONMENT, facts=CheckFacts()
    )
    (folder / "result.json").write_text(result.model_dump_json())


def test_json_has_every_stage_with_what_its_digest_covers(tmp_path: Path, capsys: Any) -> None:
    found = planned(tmp_path, capsys)
    assert list(found["stages"]) == [
        "prepare",
        "check",
        "rehearse orpo",
        "rehearse scoring",
        "orpo/orpo@0",
        "base/evaluate",
        "orpo/evaluate@0",
    ]
    covers = found["stages"]["orpo/orpo@0"]["covers"]
    assert covers["config"]["config"]["lambda"] > 0
    assert covers["code"]["harness/methods/orpo.py"]
    assert covers["packages"]["torch"]
    assert {stage["state"] for stage in found["stages"].values()} == {"to run"}
    assert not (tmp_path / "stages").exists(), "planning writes nothing"


def test_why_names_what_changed_since_the_newest_stage_of_the_name(tmp_path: Path, capsys: Any) -> None:
    before = planned(tmp_path, capsys)["stages"]
    for stage in before.values():
        finish(tmp_path, stage)
    same = planned(tmp_path, capsys, why=True)["stages"]
    assert {(stage["state"], tuple(stage["why"])) for stage in same.values()} == {("finished", ())}
    changed = Overrides(arms=["orpo"], seeds="1", score=["preference"], sets=("stages.orpo.lambda=0.7",))
    after = planned(tmp_path, capsys, changed, why=True)["stages"]
    old = before["orpo/orpo@0"]["covers"]["config"]["config"]["lambda"]
    assert after["orpo/orpo@0"]["why"] == [f"config config.lambda: {old} -> 0.7"]
    assert after["orpo/orpo@0"]["newest"] == before["orpo/orpo@0"]["digest"]
    assert after["orpo/evaluate@0"]["why"] == ["inputs model changed"]
    assert after["prepare"]["state"] == after["base/evaluate"]["state"] == "finished"


def test_again_shows_what_would_run_again(tmp_path: Path, capsys: Any) -> None:
    for stage in planned(tmp_path, capsys)["stages"].values():
        finish(tmp_path, stage)
    found = planned(tmp_path, capsys, again=("train",))["stages"]
    again = {name for name, stage in found.items() if stage["state"] == "to run again"}
    assert again == {"orpo/orpo@0", "orpo/evaluate@0"}


def test_the_table_groups_equal_reasons(tmp_path: Path, capsys: Any) -> None:
    overrides = Overrides(arms=["orpo"], seeds="3", score=["preference"])
    assert command.run("embedded", overrides, out=tmp_path, why=True) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert said.count("no finished stage of this name is here") == 1
    assert "orpo/orpo@0, orpo/orpo@1, orpo/orpo@2" in said


def test_the_command_line_takes_its_options_from_anywhere(tmp_path: Path) -> None:
    arguments = ["plan", "--arms", "orpo", "--seeds", "1", "--score", "preference", "--out", str(tmp_path)]
    done = CliRunner().invoke(cli.app, [*arguments, "--again", "train,evaluate", "--format", "json"])
    assert done.exit_code == 0, done.output
    assert len(json.loads(done.output)["stages"]) == 7


def test_version_and_completion() -> None:
    shown = CliRunner().invoke(cli.app, ["--version"])
    assert shown.exit_code == 0
    assert shown.output.startswith("orpo-harness ")
    assert "--install-completion" in CliRunner().invoke(cli.app, ["--help"]).output
