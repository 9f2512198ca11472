"""`harness plan --devices`: tables and JSON, of a plan and of a finished run played through again."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from synthetic import make_record
from typer.testing import CliRunner

from harness import cli
from harness.commands import plan_devices
from harness.errors import UserError
from harness.pipeline.overrides import Overrides
from harness.store.run_dir import RunRoot

NOTHING = Overrides()


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """A root with a finished run of six seeds, whose stages took a minute each."""
    root = RunRoot(tmp_path)
    root.open_for_writing()
    root.write_record(make_record(full=True, seeds=tuple(range(6))))
    return tmp_path


def test_a_finished_run_is_played_through_on_any_number_of_devices(out: Path, capsys: Any) -> None:
    plan_devices.run("latest", NOTHING, devices="1,4,64", out=out, format_name="json")
    found = json.loads(capsys.readouterr().out)
    alone, few, many = found["schedules"]
    assert [one["devices"] for one in found["schedules"]] == ["1", "4", "64"]
    assert alone["seconds"] == alone["device_seconds_in_use"] == alone["device_seconds_held"]
    blocks = [unit for unit in few["units"] if unit["unit"].startswith("train")]
    assert {unit["device"] for unit in blocks} == {1, 2, 3, 4}
    assert sorted(unit["ends"] - unit["begins"] for unit in blocks) == [240.0] * 6
    assert many["seconds"] == many["least_seconds"] < few["seconds"] < alone["seconds"]
    assert found["longest_chain"][-2] == "train seed 0"
    assert many["unknown"] == []


def test_tables_say_when_and_where_and_what_it_costs(out: Path, capsys: Any) -> None:
    plan_devices.run("latest", NOTHING, devices="2", out=out)
    told = capsys.readouterr().out
    assert "a finished run played through again" in told
    assert "money in use (EUR)" in told
    assert "energy" not in told, "no stage measured any"
    assert "Longest chain: prepare" in told
    assert "train seed 5" in told
    assert "as it took" in told
    plan_devices.run("made-0123456789", NOTHING, devices="2@2", out=out)
    assert "2 of speed 2" in capsys.readouterr().out


def test_a_finished_run_takes_no_settings(out: Path) -> None:
    with pytest.raises(UserError, match="is a finished run"):
        plan_devices.run("latest", Overrides(seeds="5"), devices="2", out=out)


def test_where_nothing_is_foretold_there_is_no_schedule(tmp_path: Path, capsys: Any) -> None:
    plan_devices.run("embedded", Overrides(seeds="2"), devices="8", out=tmp_path)
    told = capsys.readouterr().out
    assert "Nothing foretells prepare, check, rehearse" in told
    assert "harness cost" in told
    assert "takes" not in told


def test_a_rate_is_for_devices(tmp_path: Path) -> None:
    def ends(*words: str) -> tuple[int, str]:
        done = CliRunner().invoke(cli.app, ["plan", *words, "--out", str(tmp_path)])
        return done.exit_code, str(done.exception)

    assert "say how many devices" in ends("--peak-tflops", "990", "--mfu", "0.4")[1]
    assert "given without --mfu" in ends("--devices", "8", "--peak-tflops", "990")[1]
