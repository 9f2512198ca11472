"""`harness serve` as a whole, with a stand-in for the server."""

from __future__ import annotations

import dataclasses
import json
import os
import re
import shlex
import socket
from pathlib import Path
from typing import Any

import pytest
from corpus.worlds import finished_run
from unit.serving.conftest import ROOT, TESTS, free_port

from harness.commands import serve as command
from harness.commands.serve import Wish
from harness.commands.serve_shown import print_how_to_ask
from harness.errors import StageFailed, UserError
from harness.generate import Prompt
from harness.generate.answer import digest_of_messages
from harness.jsonl import write_jsonl
from harness.measure.environment import device_identities
from harness.measure.gpu_lock import locked
from harness.records import LoadRecord, ServedModel
from harness.sealed import read_sealed
from harness.serving import prompts as prompting
from harness.serving.engines import ENGINES, Call
from harness.store.run_dir import RunRoot

CHECK = Wish(load=False, check=True, clients=(1,), requests=20, max_tokens=8)
LOAD = dataclasses.replace(CHECK, load=True, check=False, clients=(1, 2))


def stand_in(monkeypatch: pytest.MonkeyPatch, *more: str) -> None:
    """`transformers serve` is the stand-in, which knows a port."""

    def arguments(call: Call) -> list[str]:
        return [*more, "--port", str(call.port)]

    engine = dataclasses.replace(ENGINES["transformers"], module="openai_stand_in", arguments=arguments)
    monkeypatch.setitem(ENGINES, "transformers", engine)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join((str(TESTS), str(ROOT))))


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A model folder, as far as the parent looks into one."""
    monkeypatch.chdir(tmp_path)
    for name in ("config.json", "tokenizer.json", "model.safetensors"):
        (tmp_path / "my model").mkdir(exist_ok=True)
        (tmp_path / "my model" / name).write_text("{}")
    return tmp_path / "my model"


def serve(name: Any, wish: Wish, **given: Any) -> int:
    known: dict[str, Any] = {"arm": None, "seed": None, "port": free_port(), "out": Path("runs")}
    return command.run(str(name), engine="transformers", wish=wish, **{**known, **given})


def test_a_folder_is_checked_both_ways(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    stand_in(monkeypatch)
    assert serve(folder, CHECK) == 0
    said = capsys.readouterr().out
    assert "16 of 16 prompts answered." in said
    assert "No recorded greedy answers to compare with." in said


def test_load_figures_are_printed_and_kept(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    stand_in(monkeypatch)
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    monkeypatch.setattr("harness.commands.report.registry.names", lambda group: ["markdown"])
    assert serve(folder, LOAD) == 0
    record = read_sealed(Path("runs/serve-my-model/load.json"), LoadRecord)
    assert [(one.clients, one.requests, one.errors) for one in record.levels] == [(1, 20, {}), (2, 20, {})]
    assert (record.model.name, record.threads, record.max_tokens) == ("my-model", 3, 8)
    said = capsys.readouterr().out
    assert re.search(r"clients +requests +errors +first token p50", said)
    assert Path("runs/serve-my-model/report/report.md").is_file()


def test_a_server_that_dies_is_told_with_what_it_wrote(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in(monkeypatch, "--die")
    with pytest.raises(StageFailed, match="ended with exit code 1") as caught:
        serve(folder, CHECK)
    assert "no such weights" in caught.value.log_tail


def test_a_taken_port_is_said_before_anything_is_written(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stand_in(monkeypatch)
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(UserError, match=f"port {port} is taken"):
            serve(folder, CHECK, port=port)
    assert not Path("runs").exists()


@pytest.mark.parametrize("given", [{"arm": "orpo"}, {"seed": 0}])
def test_a_folder_has_no_arms(folder: Path, given: dict[str, Any]) -> None:
    with pytest.raises(UserError, match="leave --arm out"):
        serve(folder, CHECK, **given)


def test_an_answer_that_is_not_the_runs_is_shown_and_ends_with_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    stand_in(monkeypatch)
    record = finished_run(tmp_path / "runs", digests=False)
    root = RunRoot(tmp_path / "runs")
    (root.stage_folder("orpo0") / "model").mkdir()
    (root.stage_folder("prep") / "tokenizer").mkdir()
    _prompts(monkeypatch, {"one two": "two one", "three four": "four"})
    assert serve("latest", CHECK, arm="orpo", out=tmp_path / "runs") == 1
    said = capsys.readouterr().out
    assert "Equal to the run's own answers: 1 of 2." in said
    assert "  run: four\n  server: four three" in said
    assert not list(root.run_folder(record.id).glob(".served.*"))


def _prompts(monkeypatch: pytest.MonkeyPatch, answers: dict[str, str]) -> None:
    asked = [prompting.Asked([{"role": "user", "content": text}], told) for text, told in answers.items()]
    monkeypatch.setattr(prompting, "of_run", lambda *_: asked)


def test_prompts_are_those_of_the_test_split_each_once_with_the_runs_answers(
    tmp_path: Path, prepared: Path
) -> None:
    record = finished_run(tmp_path / "runs", digests=False)
    root = RunRoot(tmp_path / "runs")
    (root.stage_folder("prep") / "test.parquet").write_bytes((prepared / "test.parquet").read_bytes())
    without = prompting.of_run(root, record, None)
    assert len(without) == 6
    assert {one.recorded for one in without} == {None}
    first = list(without[0].messages)
    row = {"asked": digest_of_messages(Prompt("x", "rubric", first)), "text": "w5"}
    write_jsonl(tmp_path / "answers.jsonl", [row, {"asked": None, "text": "w6"}])
    found = prompting.of_run(root, record, tmp_path / "answers.jsonl")
    assert [one.recorded for one in found] == ["w5", None, None, None, None, None]


def test_what_can_be_copied_holds_hostile_prompts_as_text(capsys: pytest.CaptureFixture[str]) -> None:
    content = 'it\'s "$(touch evil)" \N{GRINNING FACE} \x1b[31m \u202e\nend'
    print_how_to_ask(
        ServedModel(name="orpo-seed0", folder="/f"), 8000, [{"role": "user", "content": content}], "x"
    )
    said = capsys.readouterr().out
    assert "\x1b" not in said
    assert "\u202e" not in said
    curl = said[said.index("curl ") : said.index("\n\nfrom openai")]
    body = json.loads(shlex.split(curl.replace("\\\n", ""))[-1])
    assert body["messages"] == [{"role": "user", "content": content}]
    python = said[said.index("from openai") :]
    (literal,) = re.findall(r"messages=(\[.*\]),", python)
    compile(python, "example", "exec")
    assert "GRINNING" not in literal
    assert "\N{GRINNING FACE}" in literal


def test_beside_a_comparison_it_serves_and_says_so_but_measures_nothing(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    stand_in(monkeypatch)
    with locked(device_identities(1), what="a comparison"):
        assert serve(folder, CHECK) == 0
        assert "takes from its time" in capsys.readouterr().out
        with pytest.raises(UserError, match="measures on this device"):
            serve(folder, LOAD)
    assert not Path("runs/serve-my-model/load.json").exists()
