"""The whole comparison, tiny and offline, as a user runs it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
TINY = ["--set", "data.limit=64", "--set", "data.test_limit=20", "--seeds", "1"]


def harness(*arguments: str, timeout: float = 280) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "harness", *arguments],
        capture_output=True,
        text=True,
        cwd=ROOT,
        timeout=timeout,
        check=False,
    )


def compare(out: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return harness("compare", *TINY, "--out", str(out), *arguments)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: Any) -> Path:
    out = Path(tmp_path_factory.mktemp("runs"))
    done = compare(out, "--score", "preference rubric alpaca_eval")
    assert done.returncode == 0, done.stderr + done.stdout
    return out


@pytest.mark.slow
def test_the_report_is_complete(finished: Path) -> None:
    report = finished / "latest" / "report"
    data = json.loads((report / "comparison.json").read_text())
    assert set(data["arms"]) == {"sft", "sft_dpo", "orpo"}
    for arm in data["arms"].values():
        assert arm["cost"]["wall_seconds"] > 0
        assert arm["cost"]["flops"] > 0
        assert arm["cost"]["memory_kind"] in ("host_rss", "cuda_allocated")
        assert arm["scores"]["preference"]["accuracy"]["estimate"] is not None
    assert data["arms"]["sft_dpo"]["cost"]["flops"] > data["arms"]["orpo"]["cost"]["flops"]
    assert [
        c["check"] for c in data["parity"] if c["equal"] is False and c["check"] != "clean_git_tree"
    ] == []
    for path in ("report.md", "tables/main.tex", "tables/main.csv", "figures/log_probs.svg"):
        assert (report / path).stat().st_size > 0
    assert (finished / "mlflow.db").is_file()


@pytest.mark.slow
def test_a_second_run_reuses_everything(finished: Path) -> None:
    before = json.loads((finished / "latest" / "report" / "comparison.json").read_text())
    done = compare(finished, "--score", "preference rubric alpaca_eval")
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("reused, finished") == len(before["provenance"]["stages"])
    after = json.loads((finished / "latest" / "report" / "comparison.json").read_text())
    assert {k: after[k] for k in ("arms", "evidence", "parity")} == {
        k: before[k] for k in ("arms", "evidence", "parity")
    }


@pytest.mark.slow
def test_stages_run_again_and_nothing_is_lost(finished: Path) -> None:
    scored = ("--score", "preference rubric alpaca_eval", "--no-mlflow")
    before = {path.parent.name: path.read_bytes() for path in finished.glob("stages/*/result.json")}
    done = compare(finished, *scored, "--again", "judge")
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("reused, finished") == len(before) - 1
    after = {path.parent.name: path.read_bytes() for path in finished.glob("stages/*/result.json")}
    assert len(after) == len(before) + 1, "the earlier judgments are kept aside"
    assert set(before.values()) < set(after.values())
    process = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "harness",
            "compare",
            *TINY,
            *scored,
            "--out",
            str(finished),
            "--again",
            "all",
        ],
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    deadline = time.monotonic() + 60
    while any((finished / "stages" / name / "result.json").exists() for name in before):
        assert time.monotonic() < deadline, "nothing was set aside"
        time.sleep(0.1)
    os.kill(process.pid, signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130, errors
    back = {path.parent.name: path.read_bytes() for path in finished.glob("stages/*/result.json")}
    assert back == after, "interrupted before anything ran again, all is as it was"


@pytest.mark.slow
def test_scores_are_added_and_stay(finished: Path) -> None:
    """More scores without training or generating; the comparison run again keeps them."""
    before = json.loads((finished / "latest" / "report" / "comparison.json").read_text())
    score = ("score", "--benchmark", "rubric behaviour", "--out", str(finished), "--no-mlflow")
    done = harness(*score)
    assert done.returncode == 0, done.stderr
    after = json.loads((finished / "latest" / "report" / "comparison.json").read_text())
    assert after["id"] == before["id"]
    for arm, was in before["arms"].items():
        now = after["arms"][arm]["scores"]
        assert {k: now[k] for k in was["scores"]} == was["scores"]
        assert now["rubric@2"]["grade"]["estimate"] == now["rubric"]["grade"]["estimate"]
        assert now["behaviour@2"]["empty"]["estimate"] is not None
        assert after["arms"][arm]["cost"] == was["cost"]
    newest = max((finished / "stages").glob("*/result.json"), key=lambda path: path.stat().st_mtime)
    ledger = {m["quantity"]: m["value"] for m in json.loads(newest.read_text())["ledger"]}
    assert "model_load_seconds" not in ledger, "all answers were known, so no model was needed"
    again = harness(*score, "--as", "2")
    assert again.returncode == 2
    assert "was scored already" in again.stderr
    assert compare(finished, "--score", "preference rubric alpaca_eval").returncode == 0
    kept = json.loads((finished / "latest" / "report" / "comparison.json").read_text())
    assert kept["arms"] == after["arms"]


@pytest.mark.slow
def test_report_prints_json_and_names_what_is_missing(finished: Path) -> None:
    done = harness("report", "latest", "--format", "json", "--out", str(finished))
    assert json.loads(done.stdout)["schema_version"] == 1
    missing = harness("report", "nope", "--out", str(finished))
    assert (missing.returncode, missing.stdout) == (2, "")
    assert 'no finished run "nope"' in missing.stderr


@pytest.mark.slow
def test_lora_trains_every_arm(tmp_path: Path) -> None:
    done = compare(tmp_path, "--set", "training.lora.r=4", "--score", "preference", "--no-mlflow")
    assert done.returncode == 0, done.stderr
    data = json.loads((tmp_path / "latest" / "report" / "comparison.json").read_text())
    checks = {check["check"]: check for check in data["parity"]}
    assert checks["tuning"]["equal"] is True
    assert all("lora" in value for value in checks["tuning"]["values"].values())
    assert checks["hand_over"]["equal"] is True


@pytest.mark.slow
@pytest.mark.timeout(1_800)
def test_looks_add_seeds_and_train_nothing_twice(tmp_path: Path) -> None:
    """Questions about an arm that is left out stay open, so that both looks run."""
    wanted = ("--seeds", "3", "--arms", "sft orpo", "--set", "looks=[2, 3]", "--score", "preference")
    arguments = ("compare", *TINY, *wanted, "--until-decided", "--no-mlflow", "--out", str(tmp_path))
    done = harness(*arguments, timeout=900)
    assert done.returncode == 0, done.stderr + done.stdout
    assert "Look 1 of 2, 2 seeds:" in done.stdout
    assert "All 3 seeds were trained: nothing was saved." in done.stdout
    last = json.loads((tmp_path / "latest" / "record.json").read_text())
    look = last["plan"]["spec"]["look"]
    assert (look["number"], last["plan"]["spec"]["seeds"]) == (2, [0, 1, 2])
    first = json.loads((tmp_path / look["earlier"][0] / "record.json").read_text())
    assert set(first["results"]) <= set(last["results"])
    report = (tmp_path / "latest" / "report" / "report.md").read_text()
    assert "Look 2 of 2 (at 2, 3 seeds): every p is adjusted for peeking" in report
    assert "NOT registered first" not in report
    again = harness(*arguments, timeout=900)
    assert again.returncode == 0, again.stderr
    assert again.stdout.count("reused, finished") == len(first["results"]) + len(last["results"])


@pytest.mark.slow
def test_ctrl_c_keeps_what_is_finished(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "harness", "compare", *TINY, "--score", "preference", "--out", str(tmp_path)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    deadline = time.monotonic() + 120
    while not list(tmp_path.glob("stages/*/result.json")) and time.monotonic() < deadline:
        time.sleep(0.2)
    time.sleep(1)
    os.kill(process.pid, signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130, errors
    assert b"finished stages are kept" in errors
    assert b"Traceback" not in errors
    done = compare(tmp_path, "--score", "preference", "--no-mlflow")
    assert done.returncode == 0, done.stderr
    assert "reused, finished" in done.stdout


BAD = {
    "unknown key": (["--set", "stages.dpo.bta=1"], 'did you mean "beta"'),
    "unknown arm": (["--arms", "orpoo"], 'unknown arm "orpoo"; did you mean "orpo"'),
    "unknown benchmark": (["--score", "ifevall"], 'unknown benchmark "ifevall"'),
    "no seeds": (["--seeds", "0"], "--seeds is 0"),
    "negative rate": (["--set", "stages.sft.learning_rate=-1"], "give a number above 0"),
    "missing file": (["--data", "none.jsonl"], "none.jsonl: no such file or folder"),
    "missing model": (["--model", "./none"], "no such model folder"),
    "lambda_or": (["--set", "stages.orpo.lambda_or=1"], "is called `lambda`"),
    "unknown comparison": (["nothing"], 'unknown comparison "nothing"; known: a_a, embedded, field, '),
    "unknown option": (["--sedes", "1"], "no such option: --sedes"),
    "out is a file": (["--out", "pyproject.toml"], "cannot be written to"),
}


BY_DEFAULT = ("missing file", "out is a file", "unknown option")
"""Asked in a process of their own by default; the corpus asks for every message within one."""


@pytest.mark.parametrize(
    "name", [n if n in BY_DEFAULT else pytest.param(n, marks=pytest.mark.slow) for n in BAD]
)
def test_bad_input_is_one_message_and_exit_code_2(name: str, tmp_path: Path) -> None:
    arguments, message = BAD[name]
    out = [] if "--out" in arguments else ["--out", str(tmp_path / "runs")]
    done = harness("compare", *arguments, *out, timeout=60)
    assert done.returncode == 2, done.stdout + done.stderr
    assert message in done.stderr
    assert done.stderr.count("\n") == 1
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "runs" / "latest").exists()


def test_a_hub_model_offline_is_one_message(tmp_path: Path) -> None:
    done = harness("compare", "--model", "org/none", "--out", str(tmp_path), timeout=60)
    assert done.returncode == 2
    assert 'model "org/none" is neither a local path nor cached' in done.stderr
    assert done.stderr.count("\n") == 1


ROW = {"prompt": "say cat dog 2 times", "chosen": "cat .", "rejected": "dog ."}
FILES = {
    "malformed line": (json.dumps(ROW) + "\n{oops\n", "pairs.jsonl:2: is not valid JSON"),
    "no rejected": ('{"prompt": "a", "chosen": "b"}\n', "pairs.jsonl:1: has no rejected answer"),
    "empty": ("", "has no train pairs"),
    "chosen = rejected": (json.dumps({**ROW, "rejected": "cat ."}) + "\n", "chosen equals rejected in all"),
    "long prompts": (
        json.dumps({**ROW, "prompt": "cat " * 90}) + "\n",
        "no prompt leaves 2 tokens of data.max_length",
    ),
    "unknown words": (json.dumps({**ROW, "chosen": "quantum zebra"}) + "\n", "are unknown to the tokenizer"),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", FILES)
def test_bad_data_is_one_message_and_exit_code_2(name: str, tmp_path: Path) -> None:
    text, message = FILES[name]
    (tmp_path / "pairs.jsonl").write_text(text)
    done = harness(
        "compare",
        "--data",
        str(tmp_path / "pairs.jsonl"),
        "--set",
        "data.test_fraction=0.001",
        "--out",
        str(tmp_path / "runs"),
        timeout=60,
    )
    assert done.returncode == 2, done.stdout + done.stderr
    assert message in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.slow
def test_a_damaged_stage_is_named_and_runs_again_alone(finished: Path) -> None:
    record = json.loads((finished / "latest" / "record.json").read_text())
    digest = next(d for d, r in record["results"].items() if r["name"] == "orpo/orpo@0")
    weights = finished / "stages" / digest / "model" / "model.safetensors"
    own = weights.read_bytes()
    weights.write_bytes(own[:100_000] + bytes(40_000) + own[140_000:])
    shown = harness("verify", "latest", "--out", str(finished))
    assert (shown.returncode, "orpo/orpo@0: model/model.safetensors was changed" in shown.stdout) == (1, True)
    refused = harness("report", "latest", "--out", str(finished))
    assert refused.returncode == 2
    assert "model/model.safetensors of stage orpo/orpo@0 was changed after it was finished" in refused.stderr
    again = compare(finished, "--score", "preference rubric alpaca_eval")
    assert again.returncode == 0, again.stderr + again.stdout
    assert "runs again, since model/model.safetensors was changed" in again.stdout
    assert again.stdout.count("reused, finished") >= 8
    assert weights.read_bytes() == own
    shown = harness("verify", "latest", "--out", str(finished))
    assert shown.returncode == 0, shown.stdout
    assert "all as they were written" in shown.stdout
