"""A trained arm behind a real server: its answers are those of the run, and nothing is left when it ends."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from unit.serving.conftest import free_port

from harness.data.base_model import EMBEDDED
from harness.records import LoadRecord
from harness.sealed import read_sealed
from harness.store.run_dir import read_record

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(900),
    pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc"),
]
SMALL = ("--seeds", "1", "--arms", "sft,orpo", "--score", "rubric", "--no-mlflow")
FEW = ("--set", "data.limit=256", "--set", "data.test_limit=40")
LORA = ("--set", "training.lora.r=4", "--set", "training.lora.target_modules=all-linear")


def harness(*words: str, timeout: float = 600) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "harness", *words],
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )


@contextlib.contextmanager
def serving(out: Path, port: int) -> Iterator[subprocess.Popen[str]]:
    """`harness serve`, once it has said how to ask."""
    words = [
        sys.executable,
        "-m",
        "harness",
        "serve",
        "--arm",
        "orpo",
        "--port",
        str(port),
        "--out",
        str(out),
    ]
    server = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert server.stdout is not None
    try:
        said = ""
        while "flush=True)" not in said:
            line = server.stdout.readline()
            assert line, said
            said += line
        server.said = said  # type: ignore[attr-defined]
        yield server
    finally:
        server.kill()
        server.wait()
        server.stdout.close()


def children(parent: int) -> list[int]:
    """Servers that a command started."""
    found = []
    for process in Path("/proc").iterdir():
        with contextlib.suppress(OSError, ValueError):
            if f"PPid:\t{parent}\n" in (process / "status").read_text():
                found.append(int(process.name))
    return found


def wait_until(condition: Any, seconds: float = 20.0) -> None:
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, "it did not come"
        time.sleep(0.1)


def is_free(port: int) -> bool:
    with socket.socket() as one:
        return one.connect_ex(("127.0.0.1", port)) != 0


def ends(said: str) -> tuple[int, int]:
    found = re.search(r"Equal to the run's own answers: (\d+) of (\d+)", said)
    assert found is not None, said
    return int(found[1]), int(found[2])


def test_served_answers_are_those_of_the_run(runs: Path) -> None:
    done = harness("serve", "--arm", "orpo", "--port", str(free_port()), "--check", "--out", str(runs))
    assert done.returncode == 0, done.stdout + done.stderr
    assert ends(done.stdout) == (16, 16)
    assert "Streamed and at once alike: 16 of 16." in done.stdout


def test_adapters_are_folded_in_and_answer_alike(tmp_path: Path) -> None:
    made = harness("compare", "embedded", *SMALL, *FEW, *LORA, "--out", str(tmp_path))
    assert made.returncode == 0, made.stderr + made.stdout
    done = harness("serve", "--arm", "orpo", "--port", str(free_port()), "--check", "--out", str(tmp_path))
    same, of = ends(done.stdout)
    # Adapters that are folded in add up in another order, which may tip a tie.
    assert of == 16
    assert same >= 15, done.stdout


def test_a_real_client_is_answered_and_a_killed_server_starts_again(runs: Path) -> None:
    openai = pytest.importorskip("openai")
    port = free_port()
    record = read_record(runs / "latest")
    evaluate = next(c.evaluate for c in record.plan.cells if c.arm == "orpo")
    row = json.loads((runs / "stages" / str(evaluate) / "answers.jsonl").read_text().splitlines()[0])
    for _ in range(2):
        with serving(runs, port) as server:
            client = openai.OpenAI(base_url=f"http://127.0.0.1:{port}/v1", api_key="none", max_retries=0)
            asked = {"model": "orpo-seed0", "messages": [{"role": "user", "content": row["prompt"]}]}
            whole = client.chat.completions.create(**asked)
            stream = client.chat.completions.create(**asked, stream=True)
            pieces = [c.choices[0].delta.content or "" for c in stream if c.choices]
            assert whole.choices[0].message.content.strip() == row["text"]
            assert whole.choices[0].finish_reason == "stop"
            assert whole.usage.completion_tokens == row["tokens"]
            assert "".join(pieces).strip() == row["text"]
            assert len(pieces) > 2
            assert [one.id for one in client.models.list()] == ["orpo-seed0"]
            with pytest.raises(openai.BadRequestError):
                client.chat.completions.create(**{**asked, "model": "another"})
            (child,) = children(server.pid)
            server.kill()
            server.wait()
            wait_until(lambda: is_free(port))
            wait_until(lambda child=child: not Path(f"/proc/{child}").exists() or _is_dead(child))


def _is_dead(pid: int) -> bool:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    return True


def test_ctrl_c_ends_it_well_and_nothing_else_reaches_it(runs: Path) -> None:
    port = free_port()
    with serving(runs, port) as server:
        said = server.said  # type: ignore[attr-defined]
        assert f"Base URL: http://127.0.0.1:{port}/v1" in said
        run = read_record(runs / "latest").id
        assert list((runs / run).glob(".served.*"))
        for address in _other_addresses():
            with socket.socket() as one:
                assert one.connect_ex((address, port)) != 0, address
        curl = said[said.index("curl ") : said.index("\n\nfrom openai")]
        done = subprocess.run(["sh", "-c", curl], capture_output=True, text=True, timeout=60, check=False)
        if done.returncode != 127:
            assert json.loads(done.stdout)["choices"][0]["message"]["content"], done.stderr
        taken = harness("serve", "--arm", "orpo", "--port", str(port), "--out", str(runs))
        assert taken.returncode == 2
        assert f"port {port} is taken" in taken.stderr
        server.send_signal(signal.SIGINT)
        assert server.wait(30) == 0
        assert is_free(port)
        assert not list((runs / run).glob(".served.*"))


def _other_addresses() -> list[str]:
    """This machine's addresses that others can reach."""
    with contextlib.suppress(OSError):
        found = socket.gethostbyname_ex(socket.gethostname())[2]
        return [one for one in found if not one.startswith("127.")]
    return []


def test_a_model_folder_is_served_as_it_is(tmp_path: Path) -> None:
    done = harness("serve", str(EMBEDDED), "--port", str(free_port()), "--check", "--out", str(tmp_path))
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Streamed and at once alike: 16 of 16." in done.stdout
    assert "No recorded greedy answers" in done.stdout


def test_load_figures_are_written_with_where_they_were_measured(runs: Path) -> None:
    words = ("--load", "--clients", "1,2", "--requests", "20")
    done = harness("serve", "--arm", "orpo", "--port", str(free_port()), *words, "--out", str(runs))
    assert done.returncode == 0, done.stdout + done.stderr
    folder = runs / read_record(runs / "latest").id / "serve" / "orpo-seed0"
    record = read_sealed(folder / "load.json", LoadRecord)
    assert [(level.clients, level.requests, level.errors) for level in record.levels] == [
        (1, 20, {}),
        (2, 20, {}),
    ]
    for level in record.levels:
        values = {figure.name: figure.value for figure in level.figures}
        assert all(value is not None and value > 0 for value in values.values())
        assert values["first_token_p50"] <= values["first_token_p95"]  # type: ignore[operator]
        assert values["first_token_p50"] <= values["request_p50"]  # type: ignore[operator]
    assert record.model.run == read_record(runs / "latest").id
    assert record.environment.cpu_count == os.cpu_count()
    assert "first token p95" in (folder / "report" / "report.md").read_text()
