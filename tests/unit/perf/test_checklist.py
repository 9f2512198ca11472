"""The checklist's course: what is kept between calls, what an error is, and what the exit code says."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from harness.data.tokenise import render
from harness.records import EngineTrial, RehearseEvaluateFacts
from perf import gpu
from perf.checklist import items
from perf.checklist.bench import Bench, Outcome, OutOfTime, judged, missing

HERE = {"device_name": "H100", "gpu_uuid": "GPU-1", "git_commit": "c1", "lock_digest": "l1"}


def bench(folder: Path) -> Bench:
    return Bench(folder, toy=True, deadline=time.monotonic() + 60)


def test_what_another_device_or_commit_found_is_not_kept(tmp_path: Path) -> None:
    file = tmp_path / "gpu.json"
    done = {"nvml": {"status": "pass", "figures": {}, "why": ""}}
    file.write_text(json.dumps({"environment": HERE, "items": done}))
    assert gpu._earlier(file, HERE)["items"] == done
    for changed in ({"gpu_uuid": "GPU-2"}, {"git_commit": "c2"}):
        assert gpu._earlier(file, {**HERE, **changed})["items"] == {}


def test_an_error_is_a_failure_and_lack_of_time_is_none(tmp_path: Path, monkeypatch: Any) -> None:
    def breaks(_: Bench) -> Outcome:
        raise RuntimeError("no kernel image")

    def waits(_: Bench) -> Outcome:
        raise OutOfTime

    known = {"breaks": items.Item("breaks", "", breaks), "waits": items.Item("waits", "", waits)}
    monkeypatch.setattr(gpu, "ITEMS", known)
    assert gpu._tried("breaks", bench(tmp_path)) == Outcome("fail", {}, "RuntimeError: no kernel image")
    assert gpu._tried("waits", bench(tmp_path)) is None


@pytest.mark.parametrize(
    ("outcome", "code"), [(judged(True, {}, ""), 0), (judged(False, {}, "x"), 1), (missing("y"), 0)]
)
def test_the_exit_code_is_one_where_an_item_failed(
    outcome: Outcome, code: int, tmp_path: Path, monkeypatch: Any, capsys: Any
) -> None:
    monkeypatch.setattr(gpu, "ITEMS", {"one": items.Item("one", "a claim", lambda _: outcome)})
    monkeypatch.setattr(sys, "argv", ["gpu.py", "--toy", "--out", str(tmp_path)])
    assert gpu.main() == code
    assert outcome.status in capsys.readouterr().out
    assert json.loads((tmp_path / "gpu.json").read_text())["items"]["one"]["status"] == outcome.status


def test_made_pairs_fill_the_length_and_every_word_is_known(tmp_path: Path) -> None:
    from transformers import AutoTokenizer

    from harness.data.base_model import EMBEDDED

    tokenizer = AutoTokenizer.from_pretrained(EMBEDDED)
    rows = [json.loads(line) for line in Path(bench(tmp_path).pairs()).read_text().splitlines()]
    for row in rows:
        messages = [
            {"role": "user", "content": row["prompt"]},
            {"role": "assistant", "content": row["chosen"]},
        ]
        ids = render(tokenizer, messages)
        assert tokenizer.unk_token_id not in ids
        assert 40 <= len(ids) <= 64


@pytest.mark.parametrize(("reason", "status"), [(None, "pass"), ("an answer parts", "fail")])
def test_an_engine_has_to_answer_within_the_tolerance(reason: str | None, status: str) -> None:
    trial = EngineTrial(tried="c", used="c", prompts=8, new_tokens=4, tolerance=0.1, same=8, reason=reason)
    asked: list[str] = []

    class Made:
        def execution(self, *sets: str, **_: Any) -> Any:
            asked.extend(sets)
            return SimpleNamespace(plan=SimpleNamespace(rehearse_evaluate="r"))

        def run(self, execution: Any, digests: list[str]) -> list[Any]:
            assert digests == ["r"]
            return [SimpleNamespace(facts_as=lambda _: RehearseEvaluateFacts(engine=trial))]

    outcome = items.engines(Made())  # type: ignore[arg-type]
    assert (outcome.status, asked) == (status, ["generation.engine=continuous"])
    assert outcome.figures["continuous"]["same"] == 8
