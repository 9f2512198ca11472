"""Benchmarks on a tiny model and made answers, against values computed by hand."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from harness.benchmarks import CheckContext, alpaca_eval, lm_eval, preference, rubric
from harness.benchmarks._duels import duel
from harness.errors import UserError
from harness.generate import Answer
from harness.generate.load import load_model
from harness.jsonl import read_jsonl


@pytest.fixture
def loaded(tiny_model: Path, prepared: Path) -> Any:
    return load_model(str(tiny_model), prepared / "tokenizer", stop_token_ids=[2])


def answers(texts: list[str]) -> list[Answer]:
    prompts = ["say cat dog 2 times", "how many words are here : cat dog", "make upper case : cat owl"]
    return [
        Answer(f"i{n}", "alpaca_eval", p, t, 3, "stop", reference="cat .")
        for n, (p, t) in enumerate(zip(prompts, texts, strict=True))
    ]


RIGHT = ["cat dog cat dog .", "2 .", "CAT OWL ."]
WRONG = ["cat .", "3 .", "CAT owl ."]


def test_preference_accuracy_is_the_share_of_higher_log_probs(
    loaded: Any, prepared: Path, tmp_path: Path
) -> None:
    scores = {s.metric: s for s in preference.score_model(preference.Config(), loaded, prepared, tmp_path)}
    rows = read_jsonl(tmp_path / "scores" / "preference.jsonl")
    wins = [r["metrics"]["logp_chosen"] > r["metrics"]["logp_rejected"] for r in rows]
    assert scores["accuracy"].estimate == pytest.approx(sum(wins) / len(wins))
    assert scores["accuracy"].n == 6
    assert not any("cluster" in row for row in rows)


def test_pairs_that_share_a_prompt_are_a_cluster(
    loaded: Any, prepared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = preference.read_prepared_test(prepared)
    rows = [*own[:3], {**own[3], "prompt": own[0]["prompt"]}]
    monkeypatch.setattr(preference, "read_prepared_test", lambda prepared, limit=None: rows)
    preference.score_model(preference.Config(), loaded, prepared, tmp_path)
    clusters = [row.get("cluster") for row in read_jsonl(tmp_path / "scores" / "preference.jsonl")]
    assert clusters[0] == clusters[3] is not None
    assert clusters[1:3] == [None, None]


def test_win_rate_counts_both_orders(prepared: Path, tmp_path: Path) -> None:
    cells = {"sft@0": answers(WRONG), "orpo@0": answers([RIGHT[0], WRONG[1], "no idea"])}
    found = alpaca_eval.score_cells(
        alpaca_eval.Config(), cells, prepared, tmp_path, baseline="sft", progress=lambda *a: None
    )
    score = found["orpo@0"][0]
    assert score.estimate == pytest.approx((1 + 0.5 + 0) / 3)
    assert score.settings["flip_rate"] == 0
    assert score.settings["first_slot_rate"] == pytest.approx(0.5)
    assert "sft@0" not in found
    rows = read_jsonl(tmp_path / str(score.items_file))
    assert [r["metrics"]["win_rate"] for r in rows] == [1.0, 0.5, 0.0]


def test_a_judge_that_loves_the_first_place_gives_half_a_win(tmp_path: Path) -> None:
    class First:
        name = "first-lover"

        def prefer_all(self, duels: Any, progress: Any = None) -> list[float]:
            return [1.0] * len(duels)

    score, *_ = duel(
        First(),
        list(zip(answers(RIGHT), answers(WRONG), strict=True)),
        tmp_path,
        cell="a@0",
        rival="b@0",
        metric="win_rate",
    )
    assert score.estimate == 0.5
    assert (score.settings["flip_rate"], score.settings["first_slot_rate"]) == (1.0, 1.0)


def test_answers_that_cannot_be_judged_are_counted_not_dropped(tmp_path: Path) -> None:
    class Mute:
        name = "mute"

        def prefer_all(self, duels: Any, progress: Any = None) -> list[float | None]:
            return [None if "upper" in prompt or first == "2 ." else 1.0 for prompt, first, _ in duels]

    score, *_ = duel(
        Mute(),
        list(zip(answers(RIGHT), answers(WRONG), strict=True)),
        tmp_path,
        cell="a@0",
        rival="b@0",
        metric="win_rate",
    )
    assert (score.settings["parse_failures"], score.settings["half_read"], score.n) == (3, 1, 1)


def test_head_to_head_and_references(prepared: Path, tmp_path: Path) -> None:
    cells = {
        "sft@0": answers(WRONG),
        "sft_dpo@0": answers(WRONG),
        "orpo@0": answers(RIGHT),
        "base": answers(WRONG),
    }
    config = alpaca_eval.Config(head_to_head=[("orpo", "sft_dpo")])
    found = alpaca_eval.score_cells(
        config, cells, prepared, tmp_path, baseline="sft", progress=lambda *a: None
    )
    rates = {s.metric: s.estimate for s in found["orpo@0"] if s.metric.startswith("win_rate")}
    assert rates == {"win_rate": 1.0, "win_rate_vs_sft_dpo": 1.0}
    assert found["base"][0].estimate == 0.5
    human = alpaca_eval.score_cells(
        alpaca_eval.Config(reference="chosen"),
        cells,
        prepared,
        tmp_path,
        baseline="sft",
        progress=lambda *a: None,
    )
    assert human["sft@0"][0].settings["rival"] == "chosen"


def test_text_that_would_break_a_template_reaches_the_judge_whole(tmp_path: Path) -> None:
    nasty = ['{"a": [1]}', "\x1e{output_1}", "<script>\\input{x}"]
    seen: list[str] = []

    class Recorder:
        name = "recorder"

        def prefer_all(self, duels: Any, progress: Any = None) -> list[float]:
            seen.extend(text for _, *both in duels for text in both)
            return [0.5] * len(duels)

    duel(
        Recorder(),
        list(zip(answers(nasty), answers(WRONG), strict=True)),
        tmp_path,
        cell="a",
        rival="b",
        metric="win_rate",
    )
    assert set(nasty) <= set(seen)


def test_rubric_grades_by_the_embedded_judge(prepared: Path, tmp_path: Path) -> None:
    scores = {
        s.metric: s.estimate
        for s in rubric.score_answers(rubric.Config(), answers([RIGHT[0], WRONG[1], ""]), prepared, tmp_path)
    }
    assert scores["grade"] == pytest.approx((1.0 + 0.2 + 0.0) / 3)
    assert scores["pass"] == pytest.approx(1 / 3)


def test_unknown_judges_tasks_and_arms(prepared: Path) -> None:
    context = CheckContext(prepared, "m", False, ("sft", "orpo"))
    with pytest.raises(UserError, match=r'unknown judge "embeded"; did you mean "embedded"\?'):
        rubric.check(rubric.Config(judge="embeded"), context)
    with pytest.raises(UserError, match="cannot grade a single answer"):
        rubric.check(rubric.Config(judge="local_lm", judge_config={"model": "m"}), context)
    with pytest.raises(UserError, match=r'unknown arm "orp"; did you mean "orpo"\?'):
        alpaca_eval.check(alpaca_eval.Config(reference="orp"), context)
    assert "did you mean" in lm_eval.unknown_task("arc_esy", ["arc_easy", "ifeval"]).remedy


@pytest.mark.slow
def test_lm_eval_unknown_and_unreachable_tasks(prepared: Path) -> None:
    context = CheckContext(prepared, "m", False)
    with pytest.raises(UserError, match=r'unknown lm-eval task "arc_esy"'):
        lm_eval.check(lm_eval.Config(tasks=["arc_esy"]), context)
    with pytest.raises(UserError, match=r'the data of lm-eval task "arc_easy" .* cannot be loaded'):
        lm_eval.check(lm_eval.Config(tasks=["arc_easy"]), context)


@pytest.mark.slow
def test_lm_eval_items_average_to_its_own_value(loaded: Any, prepared: Path, tmp_path: Path) -> None:
    scores = {s.metric: s for s in lm_eval.score_model(lm_eval.Config(), loaded, prepared, tmp_path)}
    rows = read_jsonl(tmp_path / "scores" / "lm_eval.embedded_choice.jsonl")
    assert len({r["id"] for r in rows}) == len(rows) == 6
    own = sum(r["metrics"]["acc"] for r in rows) / len(rows)
    assert scores["acc"].estimate == pytest.approx(own)
    assert json.loads((tmp_path / "embedded_choice.json").read_text().split("\n")[0])["gold"] in (0, 1)
