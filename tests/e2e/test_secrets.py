"""A whole comparison whose judge means ill: the key that it is sent is found nowhere afterwards."""

from __future__ import annotations

import base64
import itertools
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import hostile
import pytest
from hostile import Hostile, HostileServer

from harness.redact import HIDDEN

ROOT = Path(__file__).parents[2]
VARIABLE, KEY = "MY_JUDGES_WORD", 'Plain7Horse/staple+battery"quote'
TOKEN = "hf_PlantedTokenAbCdEfGh1234"
TINY = ("--set", "data.limit=64", "--set", "data.test_limit=20", "--seeds", "1", "--arms", "sft orpo")


def harness(server: HostileServer, out: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """A command whose benchmarks ask the server."""
    judge = {"model": "m", "base_url": server.url, "api_key_env": VARIABLE, "first_wait_seconds": 0.001}
    sets = [
        word
        for name in ("rubric", "alpaca_eval")
        for word in (
            *("--set", f"benchmarks.{name}.judge=openai"),
            *("--set", f"benchmarks.{name}.judge_config={json.dumps({**judge, 'attempts': 2})}"),
        )
    ]
    return subprocess.run(
        [sys.executable, "-m", "harness", *arguments, *sets, "--out", str(out)],
        cwd=ROOT,
        env={**os.environ, VARIABLE: KEY, "HF_TOKEN": TOKEN},
        capture_output=True,
        text=True,
        check=False,
        timeout=280,
    )


def found(out: Path, *shown: str) -> list[str]:
    """Where a key stands: files below `out`, databases included, or "shown" on the terminal."""
    parts = [KEY, KEY[:14], json.dumps(KEY)[1:-1], base64.b64encode(KEY.encode()).decode()[:-4], TOKEN[:18]]
    raw = {str(path): path.read_bytes() for path in out.rglob("*") if path.is_file()}
    texts = {**raw, "shown": "".join(shown).encode()}
    return [place for place, text in texts.items() if any(part.encode() in text for part in parts)]


@pytest.fixture(scope="module")
def replies() -> Iterator[Hostile]:
    """Every hostile reply with status 200 in turn, for ever; the first is the one that check reads."""
    texts = [reply for reply, _ in hostile.answers(KEY).values()]
    others = [*hostile.no_answers(KEY).values(), *hostile.no_texts(KEY).values()]
    return itertools.chain(texts, itertools.cycle([*others, *texts]))


@pytest.mark.slow
def test_the_key_is_nowhere_after_a_comparison(tmp_path: Path, replies: Iterator[Hostile]) -> None:
    with HostileServer(lambda key: next(replies)) as server:
        done = harness(server, tmp_path, "compare", *TINY, "--score", "preference rubric alpaca_eval")
        assert done.returncode == 0, done.stderr
        assert server.keys == {KEY}
        assert server.asked > 40
    assert "replies held no answer" in done.stdout
    record = (tmp_path / "latest" / "record.json").read_text()
    assert '"no_answers": {' in record
    assert HIDDEN in "".join(path.read_text() for path in (tmp_path / "cache" / "judges").rglob("*.json"))
    assert (tmp_path / "mlflow.db").is_file()
    assert found(tmp_path, done.stdout, done.stderr) == []


@pytest.mark.slow
def test_a_refused_key_ends_before_training(tmp_path: Path) -> None:
    with HostileServer(lambda key: hostile.refusals(key)["401"]) as server:
        done = harness(server, tmp_path, "compare", *TINY, "--score", "rubric")
    assert done.returncode == 2, done.stderr
    assert f"refused the key in {VARIABLE} (status 401)" in done.stderr
    kinds = [json.loads(path.read_text())["kind"] for path in tmp_path.glob("stages/*/request.json")]
    assert sorted(kinds) == ["check", "prepare"]
    assert found(tmp_path, done.stdout, done.stderr) == []


@pytest.mark.slow
def test_a_server_that_turns_ill_while_it_judges(tmp_path: Path) -> None:
    """The error that held the key in `error.json` and on the terminal."""
    good = hostile.sent(hostile.completion(hostile.choice("8")))
    turns = {5: "400", 0: "500 as a page"}
    for after, name in turns.items():
        left = itertools.count(-after)

        def reply(key: str, left: Iterator[int] = left, name: str = name, after: int = after) -> Hostile:
            return good if next(left) < 0 else hostile.refusals(key)[name]

        with HostileServer(reply) as server:
            done = harness(server, tmp_path, "compare", *TINY, "--score", "rubric")
        assert done.returncode == 2, done.stderr
        assert f"refused with status {name[:3]}" in done.stderr
        assert list(tmp_path.glob("stages/*/error.json"))
        assert found(tmp_path, done.stdout, done.stderr) == []
