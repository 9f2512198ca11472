"""SFT, a reward model and RLOO as an arm beside SFT then DPO, tiny and offline, as a user runs it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from e2e.test_compare import TINY, harness

from harness.jsonl import read_jsonl

ONLINE = ("--set", "stages.rloo.num_generations=2")
OF_TRAINER = {"implementation", "head", "layout", "tokens_padded"}


@pytest.mark.slow
@pytest.mark.longest
@pytest.mark.timeout(900)
def test_rlhf_runs_end_to_end_and_is_charged_for_its_own_answers(tmp_path: Path) -> None:
    done = harness("compare", "rlhf", *TINY, *ONLINE, "--out", str(tmp_path), timeout=800)
    assert done.returncode == 0, done.stderr + done.stdout
    report = tmp_path / "latest" / "report"
    data = json.loads((report / "comparison.json").read_text())
    assert set(data["arms"]) == {"sft", "sft_dpo", "sft_rlhf"}
    unequal = {c["check"] for c in data["parity"] if c["equal"] is False} - {"clean_git_tree"}
    assert unequal == OF_TRAINER
    assert [c["check"] for c in data["parity"] if c["check"] == "hand_over" and c["equal"]] == ["hand_over"]
    stages = results(tmp_path)
    rloo, reward, sft = stages["sft_rlhf/rloo@0"], stages["sft_rlhf/reward_model@0"], stages["sft@0"]
    assert rloo["facts"]["weights_at_start"] == sft["facts"]["weights_at_end"]
    assert rloo["facts"]["reward"]["weights"] == reward["facts"]["weights_at_end"]
    assert reward["facts"]["reward"]["graded_pairs"] > 0
    ledger = {m["quantity"]: m["value"] for m in rloo["ledger"]}
    for name in ("rollout_seconds", "rollout_reward_seconds", "rollout_flops", "rollout_reward_flops"):
        assert ledger[name] > 0, name
    parts = ("model_load", "train", "rollout", "rollout_reference", "rollout_reward", "save")
    assert ledger["wall_seconds"] == pytest.approx(sum(ledger[f"{part}_seconds"] for part in parts))
    costs = {arm: told["cost"]["flops"] for arm, told in data["arms"].items()}
    assert costs["sft_rlhf"] > costs["sft_dpo"] > costs["sft"]
    rows = [row["metrics"] for row in read_jsonl(Path(rloo["folder"]) / "steps.jsonl")]
    assert all(name in rows[-1] for name in ("reward", "kl", "completion_length", "judge_grade"))
    text = (report / "report.md").read_text()
    assert "The learned reward" in text


def results(root: Path) -> dict[str, dict[str, Any]]:
    """Results of training stages by name, the shared SFT's whatever arm ran it."""
    found = {}
    for path in root.glob("stages/*/result.json"):
        result = json.loads(path.read_text())
        if result["kind"] == "train":
            name = "sft@0" if result["name"].endswith("/sft@0") else result["name"]
            found[name] = {**result, "folder": str(path.parent)}
    return found
