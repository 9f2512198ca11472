"""An export of a real run: the trained weights' scores to the bit, and a folder that others load."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path

import pytest
from as_user import harness

SMALL = ["--set", "data.limit=64", "--set", "data.test_limit=20", "--seeds", "1", "--arms", "sft,orpo"]
OTHERS = ["--set", "baseline=sft", "--set", "cost_reference=sft", "--set", "questions=[]"]
LORA = ["--set", "training.lora.r=4"]
pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


def test_whole_weights_score_the_same_to_the_bit(runs: Path, tmp_path: Path) -> None:
    to = tmp_path / "winner"
    said = harness("export", "latest", "--arm", "orpo", "--to", str(to), "--out", str(runs))
    assert "rubric.grade: 0.00 points, identical on every item" in said
    assert "preference.logp_chosen: 0.000, identical" in said
    record = json.loads((to / "export.json").read_text())
    for name, digest in record["files"].items():
        assert hashlib.sha256((to / name).read_bytes()).hexdigest() == digest
    card = (to / "README.md").read_text()
    assert card.startswith("---\nlibrary_name: transformers\n")
    assert "Nothing: the export was scored like the trained weights" in card
    assert harness("verify", "latest", "--out", str(runs))


def test_gguf_has_an_interval_and_a_verdict(runs: Path, tmp_path: Path) -> None:
    pytest.importorskip("gguf")
    to = tmp_path / "gguf"
    said = harness(
        *("export", "latest", "--arm", "orpo", "--to", str(to), "--quantize", "gguf:q8_0"),
        *("--margin", "0.5", "--out", str(runs)),
    )
    assert "preference.accuracy: " in said
    assert "not worse within 50.0%" in said or "identical on every item" in said
    assert (to / "model.gguf").is_file()
    card = (to / "README.md").read_text()
    assert re.search(r"\| gguf:q8_0 \| .* \| 32 \| .*% \\\[", card), card


def test_adapters_are_folded_in(tmp_path: Path) -> None:
    out, to = tmp_path / "runs", tmp_path / "winner"
    harness("compare", *SMALL, *OTHERS, *LORA, "--score", "preference", "--out", str(out))
    harness("export", "latest", "--arm", "orpo", "--to", str(to), "--out", str(out))
    from transformers import AutoModelForCausalLM

    assert not (to / "adapter_config.json").exists()
    assert AutoModelForCausalLM.from_pretrained(to).config.model_type == "llama"
    assert "adapters folded in" in (to / "README.md").read_text()
