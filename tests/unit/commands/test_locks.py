"""On a busy machine a typo gets the typo's message, and what only reads waits for nobody."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from harness import cli
from harness.errors import UserError
from harness.measure.environment import device_identity
from harness.measure.gpu_lock import GpuLock
from harness.pipeline.load import find_comparison, load_comparison
from harness.pipeline.overrides import Overrides
from harness.store.run_dir import RunRoot
from perf.report import make_store


@pytest.fixture(scope="module")
def out(tmp_path_factory: Any) -> Path:
    folder = Path(tmp_path_factory.mktemp("runs"))
    record = make_store(folder, 1)
    spec = load_comparison(find_comparison("embedded", model=None), Overrides(seeds="1")).model_dump(
        mode="json"
    )
    arms = {arm["name"] for arm in spec["arms"]}
    cells = [cell for cell in record.plan.cells if cell.arm in arms]
    plan = record.plan.model_copy(update={"spec": spec, "cells": cells})
    RunRoot(folder).write_record(record.model_copy(update={"plan": plan}))
    return folder


@pytest.fixture
def busy(out: Path) -> Iterator[None]:
    """The root and the device are held, as by a comparison in another process."""
    with RunRoot(out).lock("comparison other"), GpuLock(device_identity(), what="comparison other"):
        yield


def said(*arguments: str) -> str:
    """The message of a command that ends as for a user's mistake."""
    found = CliRunner().invoke(cli.app, list(arguments))
    assert isinstance(found.exception, UserError), (found.output, found.exception)
    return str(found.exception)


@pytest.mark.usefixtures("busy")
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["compare", "embedded", "--arms", "orpoo"], 'unknown arm "orpoo"'),
        (["compare", "embedded", "--again", "orpoo"], 'no stage or arm "orpoo"'),
        (["compare", "embedded", "--set", "data.limmit=2"], "limmit"),
        (["compare", "embedded", "--data", "./none.jsonl"], "no such file or folder"),
        (["cost", "embedded", "--arms", "orpoo"], 'unknown arm "orpoo"'),
        (["cost", "embedded", "--data", "./none.jsonl"], "no such file or folder"),
        (["score", "--benchmark", "rubrik"], 'unknown benchmark "rubrik"'),
        (["score", "--benchmark", "rubric", "--judge", "nobody"], "nobody"),
        (["score", "--benchmark", "rubric", "--set", "generation.temprature=1"], "temprature"),
        (["score", "--benchmark", "preference", "--as", "a/b"], "--as: 'a/b'"),
        (["compare", "embedded", "--set", "generation.engine=vllm"], "engine vllm is not installed"),
        (["compare", "embedded", "--set", "generation.engine=vlm"], "give one of 'auto'"),
        (["cost", "embedded", "--set", "generation.engine=vllm"], "engine vllm is not installed"),
        (["score", "--benchmark", "rubric", "--set", "generation.engine=vllm"], "vllm is not installed"),
    ],
)
def test_mistakes_are_told_before_a_lock_is_asked_for(out: Path, arguments: list[str], message: str) -> None:
    text = said(*arguments, "--out", str(out))
    assert message in text
    assert "comparison other" not in text


@pytest.mark.slow
@pytest.mark.usefixtures("busy")
@pytest.mark.parametrize("command", ["compare", "cost"])
def test_what_is_right_is_told_who_holds_the_root(out: Path, command: str) -> None:
    assert "comparison other (process" in said(command, "embedded", "--seeds", "1", "--out", str(out))


@pytest.mark.slow
def test_a_device_that_is_held_stops_scoring_too(out: Path) -> None:
    with GpuLock(device_identity(), what="comparison other"):
        assert "comparison other (process" in said("score", "--benchmark", "preference", "--out", str(out))


@pytest.mark.usefixtures("busy")
@pytest.mark.parametrize(
    "arguments",
    [
        pytest.param(["plan", "embedded", "--seeds", "1"], marks=pytest.mark.slow),
        pytest.param(["report", "--format", "json"], marks=pytest.mark.slow),
        pytest.param(["trace", "latest", "main orpo"], marks=pytest.mark.slow),
        ["diff", "latest", "latest"],
        ["verify"],
    ],
)
def test_what_only_reads_waits_for_nobody(out: Path, arguments: list[str]) -> None:
    found = CliRunner().invoke(cli.app, [*arguments, "--out", str(out)], standalone_mode=False)
    assert found.exception is None, found.exception


def test_a_typo_makes_no_folder(tmp_path: Path) -> None:
    with contextlib.chdir(tmp_path):
        for command in ("compare", "cost"):
            said(command, "embedded", "--arms", "orpoo", "--out", "made")
    assert not (tmp_path / "made").exists()
