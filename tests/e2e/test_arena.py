"""Two arms of a real run before a voter who grades as the embedded world does: votes, judge, next round."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from as_user import ROOT, harness

from harness.data.embedded.grade import grade
from harness.jsonl import read_jsonl
from harness.votes import read_votes

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


@contextlib.contextmanager
def arena(runs: Path, *words: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """`harness arena`, once it has said where the page is."""
    command = subprocess.Popen(
        [sys.executable, "-m", "harness", "arena", "--no-browser", "--out", str(runs), *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "200"},
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    assert command.stdout is not None
    try:
        url, said = None, ""
        for line in command.stdout:
            said += line
            url = re.search(r"http://127\S+", line)
            if url:
                break
        assert url, said
        yield command, url[0]
    finally:
        command.kill()
        command.wait()


def asked(url: str, body: dict[str, str] | None = None) -> dict[str, Any]:
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=60) as reply:
        found: dict[str, Any] = json.load(reply)
    return found


def vote(url: str, most: int) -> int:
    """By the world's grades; how many votes were given."""
    state = asked(url + "state")
    for _ in range(most):
        if state["messages"] is None:
            break
        prompt = state["messages"][-1]["content"]
        left, right = grade(prompt, state["left"]), grade(prompt, state["right"])
        choice = "tie" if left == right else "left" if left > right else "right"
        state = asked(url + "vote", {"key": state["key"], "choice": choice})
    return int(state["done"])


def test_votes_survive_a_kill_and_become_a_judge_with_agreement(runs: Path) -> None:
    votes = runs / "latest" / "arena" / "votes.jsonl"
    with arena(runs, "--voter", "ann") as (command, url):
        assert vote(url, 5) == 5
        refused = harness("arena", "--no-browser", "--out", str(runs), code=2)
        assert "takes votes on this run" in refused
        command.send_signal(signal.SIGKILL)
    assert len(read_votes(votes)) == 5
    with arena(runs, "--voter", "ann") as (command, url):
        given = vote(url, 100)
        command.send_signal(signal.SIGINT)
        said, _ = command.communicate(timeout=120)
    assert command.returncode == 0, said
    assert len(read_votes(votes)) == 5 + given > 5
    assert re.search(
        r"Agreement with embedded.* \(rubric.grade\) on \d+ pair\(s\): same side 100.0%", said
    ), said
    report = (runs / "latest" / "report" / "report.md").read_text()
    assert "| human | human.win_rate | orpo | sft |" in report
    assert "| rubric.grade | orpo | sft |" in report
    harness("data", str(votes.with_name("pairs.jsonl")))
    harness("verify", "latest", "--out", str(runs))
    judged = f"benchmarks.alpaca_eval.judge_config.votes={votes}"
    harness(
        *("score", "latest", "--benchmark", "alpaca_eval", "--judge", "human"),
        *("--set", judged, "--no-mlflow", "--out", str(runs)),
    )
    assert "human (ann)" in (runs / "latest" / "report" / "report.md").read_text()


def test_votes_on_training_prompts_make_a_next_round(runs: Path, tmp_path: Path) -> None:
    to = tmp_path / "round2"
    refused = harness("improve", "--from", "arena", "--to", str(to), "--out", str(runs), code=2)
    assert "no prompt gave a pair" in refused or "nobody preferred" in refused
    with arena(runs, "--voter", "ben", "--prompts", "train") as (command, url):
        assert vote(url, 200) > 10
        asked(url + "finish", {})
        said, _ = command.communicate(timeout=120)
    assert command.returncode == 0, said
    pairs = [row for row in read_jsonl(runs / "latest" / "arena" / "pairs.jsonl") if row["split"] == "new"]
    said = harness("improve", "--from", "arena", "--to", str(to), "--out", str(runs))
    rows = [row for row in read_jsonl(to / "train.jsonl") if str(row.get("source", "")).startswith("arena")]
    assert 0 < len(rows) <= len(pairs)
    assert f"{len(rows)} new pairs" in said
    told = json.loads((to / "round.json").read_text())["chain"][0]
    assert (told["source"], told["judge"], told["pairs_added"]) == ("arena", "human", len(rows))
    harness("plan", str(to / "comparison.yaml"))
