"""AlpacaEval's own prompts and reference answers, from a path or the hub's cache."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from harness.benchmarks import CheckContext, _official_lc, alpaca_eval
from harness.benchmarks._official_lc import COMPUTED, PUBLISHED, listed_lc, official_lc, replayed_lc
from harness.errors import UserError
from harness.generate import Answer
from harness.judges import embedded

ROWS = [
    {"instruction": "Say <b>hi</b>", "output": "hi", "generator": "text_davinci_003", "dataset": "made"},
    {"instruction": "Say {braces}", "output": "braces", "generator": "text_davinci_003", "dataset": "made"},
    {"instruction": "Say <b>hi</b>", "output": "hi again", "generator": "text_davinci_003"},
]


def context(prepared: Path) -> CheckContext:
    return CheckContext(prepared, "m", False, ("sft", "orpo"))


@pytest.fixture(autouse=True)
def any_judge_will_do(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is tried here are the prompts, which the embedded judge knows nothing of."""
    monkeypatch.setattr(embedded, "check_prompts", lambda prompts, where: None)


def test_a_file_of_prompts_brings_its_reference_along(prepared: Path, tmp_path: Path) -> None:
    path = tmp_path / "prompts.json"
    path.write_text(json.dumps(ROWS))
    config = alpaca_eval.Config(prompt_set=str(path))
    alpaca_eval.check(config, context(prepared))
    asked = alpaca_eval.prompts(config, prepared)
    assert [p.messages[-1]["content"] for p in asked] == [r["instruction"] for r in ROWS]
    assert len({p.id for p in asked}) == 3
    answers = [
        Answer(p.id, "alpaca_eval", p.messages[0]["content"], "mine", 2, "stop", p.reference, p.meta)
        for p in asked
    ]
    scores = alpaca_eval.score_cells(
        config, {"sft@0": answers}, prepared, tmp_path, baseline="sft", progress=lambda *a: None
    )
    settings = scores["sft@0"][0].settings
    assert settings["rival"] == "text_davinci_003"
    assert settings["official_lc_win_rate"] is None
    assert "805" in settings["official_lc_reason"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[", "is not valid JSON"),
        ("[]", "holds no prompts"),
        ('[{"output": "x"}]', "item 1: instruction is missing"),
        ('[{"instruction": "x"}]', "without an answer to compare with"),
    ],
)
def test_unusable_prompt_sets(text: str, message: str, prepared: Path, tmp_path: Path) -> None:
    path = tmp_path / "prompts.json"
    path.write_text(text)
    with pytest.raises(UserError, match=message):
        alpaca_eval.check(alpaca_eval.Config(prompt_set=str(path)), context(prepared))


def test_an_unknown_set_and_an_arm_as_reference(prepared: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match='prompt set "alpaca_evil" is neither known nor a file'):
        alpaca_eval.check(alpaca_eval.Config(prompt_set="alpaca_evil"), context(prepared))
    path = tmp_path / "prompts.jsonl"
    path.write_text(json.dumps({"instruction": "x"}) + "\n")
    alpaca_eval.check(alpaca_eval.Config(prompt_set=str(path), reference="orpo"), context(prepared))


def cached(folder: Path, name: str, text: str) -> None:
    """A file in a hub cache, laid out as huggingface_hub does."""
    root = folder / "datasets--tatsu-lab--alpaca_eval"
    (root / "refs").mkdir(parents=True, exist_ok=True)
    (root / "refs" / "main").write_text("a" * 40)
    (root / "snapshots" / ("a" * 40)).mkdir(parents=True, exist_ok=True)
    (root / "snapshots" / ("a" * 40) / name).write_text(text)


def test_the_official_set_comes_from_the_hubs_cache(prepared: Path, tmp_path: Path, monkeypatch: Any) -> None:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    config = alpaca_eval.Config(prompt_set="alpaca_eval_1")
    assert alpaca_eval.needs_hub(config)
    with pytest.raises(UserError, match="of the data set tatsu-lab/alpaca_eval is not cached"):
        alpaca_eval.check(config, context(prepared))
    cached(tmp_path, "alpaca_eval.json", json.dumps(ROWS))
    alpaca_eval.check(config, context(prepared))
    assert len(alpaca_eval.prompts(config, prepared)) == 3


def annotated(number: int) -> list[dict[str, Any]]:
    return [
        {
            "instruction": f"q{i}",
            "output_1": "x" * (20 + i % 11),
            "output_2": "y" * (20 + i % 17),
            "generator_1": "gpt4_1106_preview",
            "generator_2": "orpo",
            "preference": 1.0 + (i % 3) / 2,
        }
        for i in range(number)
    ]


def recognised(monkeypatch: Any, rows: list[dict[str, Any]]) -> None:
    """Take the prompts of `rows` for AlpacaEval's, which are not ours to give away."""
    text = "\n".join(row["instruction"] for row in rows)
    monkeypatch.setattr(_official_lc, "INSTRUCTIONS", hashlib.sha256(text.encode()).hexdigest()[:16])


def test_other_prompts_have_no_official_rate_however_many() -> None:
    value, reason = official_lc(annotated(805))
    assert value is None
    assert reason == "it is defined for all 805 prompts of AlpacaEval, in their order"


def test_the_official_rate_needs_the_difficulties(tmp_path: Path, monkeypatch: Any) -> None:
    """With the hub's file alpaca_eval's own code runs; without it there is a reason, no figure."""
    from huggingface_hub import constants

    recognised(monkeypatch, annotated(805))
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    value, reason = official_lc(annotated(805))
    assert value is None
    assert reason is not None
    assert "LocalEntryNotFoundError" in reason
    lines = ["index,model,preference,std_delta_len,instruction_difficulty,not_gamed_baseline"]
    for model, share in (("concise", 0.3), ("verbose", 0.6)):
        for i in range(805):
            lines.append(f"{i},{model},{share + 0.1 * (i % 3)},{(i % 5) - 2},{(i % 7) / 3 - 1},False")
    cached(tmp_path, "df_gamed.csv", "\n".join(lines))
    value, reason = official_lc(annotated(805))
    assert reason is None
    assert value is not None
    assert 0.3 < value < 0.7


def replayed_items() -> list[dict[str, Any]]:
    return [
        {
            "prompt": row["instruction"],
            "answer": row["output_2"],
            "rival_answer": row["output_1"],
            "metrics": {"win_rate": row["preference"] - 1},
        }
        for row in annotated(805)
    ]


def test_a_replay_says_which_of_the_two_the_official_figure_is(tmp_path: Path, monkeypatch: Any) -> None:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    settings = {"judge": "alpaca_eval_gpt4", "rival": "text_davinci_003"}
    assert replayed_lc("orpo", replayed_items(), settings) == {}
    recognised(monkeypatch, annotated(805))
    absent = replayed_lc("orpo", replayed_items(), settings)
    assert absent["official_lc_win_rate"] is None
    assert "LocalEntryNotFoundError" in absent["official_lc_reason"]
    monkeypatch.setattr(_official_lc, "official_lc", lambda rows: (0.4, None))
    assert replayed_lc("orpo", replayed_items(), settings)["official_lc_origin"] == COMPUTED
    monkeypatch.setattr(_official_lc, "listed_lc", lambda *known: 0.3)
    listed = replayed_lc("orpo", replayed_items(), settings)
    assert (listed["official_lc_win_rate"], listed["official_lc_origin"]) == (0.3, PUBLISHED)


def test_the_leaderboard_is_believed_only_for_the_same_judge_and_raw_rate() -> None:
    known = ("phi-2-dpo", "alpaca_eval_gpt4", "text_davinci_003")
    assert listed_lc(*known, 662 / 804) == pytest.approx(0.5428867, abs=1e-6)
    assert listed_lc(*known, 0.82) is None
    assert listed_lc("phi-2-dpo", "../../secret", "text_davinci_003", 662 / 804) is None
    assert listed_lc("phi-2-dpo", "alpaca_eval_gpt4", "somebody", 662 / 804) is None
    assert listed_lc("nobody", "alpaca_eval_gpt4", "text_davinci_003", 662 / 804) is None
