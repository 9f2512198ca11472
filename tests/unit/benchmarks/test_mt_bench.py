"""MT-Bench: turns, prompts, ratings, categories, and judgments that exist already."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from harness.benchmarks import CheckContext, mt_bench
from harness.errors import UserError
from harness.generate import Answer
from harness.generate.load import load_model
from harness.generate.turns import answer_turns
from harness.jsonl import read_jsonl
from harness.pipeline.generation_spec import GenerationSpec

QUESTIONS = [
    {"question_id": 81, "category": "writing", "turns": ["w5 w6", "w7"]},
    {"question_id": 111, "category": "math", "turns": ["w8 {answer}", "w9 w10"]},
    {"question_id": 121, "category": "coding", "turns": ["w11", "w12"]},
]


@pytest.fixture
def questions(tmp_path: Path) -> Path:
    folder = tmp_path / "mt"
    folder.mkdir()
    (folder / "question.jsonl").write_text("\n".join(json.dumps(q) for q in QUESTIONS))
    reference = {"question_id": 111, "choices": [{"turns": ["one right", "two right"]}]}
    (folder / "reference_answer_gpt-4.jsonl").write_text(json.dumps(reference))
    return folder


def answered(questions: Path) -> list[Answer]:
    found = []
    for prompt in mt_bench.prompts(mt_bench.Config(questions=str(questions)), questions):
        asked = prompt.messages[-1]["content"]
        first = Answer(prompt.id, "mt_bench", asked, "first {x}", 3, "stop", meta=prompt.meta)
        said = [*prompt.messages, {"role": "assistant", "content": "first {x}"}]
        name, text = prompt.follow_ups[0]
        meta = {**prompt.meta, "earlier": said}
        found += [first, Answer(name, "mt_bench", text, "second", 3, "stop", meta=meta)]
    return found


class Writer:
    """Replies with grades in order, and keeps what it was asked."""

    name = "writer"

    def __init__(self, replies: list[str]) -> None:
        self.replies, self.asked = replies, []

    def complete_all(self, conversations: Any, max_tokens: int, progress: Any = None) -> list[str]:
        self.asked += conversations
        return self.replies


@pytest.fixture
def writer(monkeypatch: pytest.MonkeyPatch) -> Writer:
    replies = ["Fine. [[7]]", "[[5.5]]", "Rating: [8]", "no grade", "[[11]]", "[[10]]"]
    judge = Writer(replies)

    class Module:
        @staticmethod
        def make(own: Any, cache: Any = None) -> Writer:
            return judge

    monkeypatch.setattr(mt_bench, "_judge", lambda config: (Module, None))
    return judge


def test_grades_by_turn_category_and_as_helpfulness(questions: Path, writer: Writer, tmp_path: Path) -> None:
    config = mt_bench.Config(questions=str(questions))
    scores = {s.metric: s for s in mt_bench.score_answers(config, answered(questions), questions, tmp_path)}
    assert scores["score"].estimate == pytest.approx((7 + 5.5 + 8 + 10) / 4)
    assert scores["score_turn_1"].estimate == pytest.approx(7.5)
    assert scores["score_in_coding"].estimate == 10
    assert scores["helpfulness"].estimate == pytest.approx(1 + (7.625 - 1) * 4 / 9)
    settings = scores["score"].settings
    assert (settings["parse_failures"], settings["comparable_with_published"]) == (2, False)
    rows = read_jsonl(tmp_path / str(scores["score"].items_file))
    assert [row["cluster"] for row in rows] == ["81", "81", "111", "111", "121", "121"]


def test_references_go_where_they_are_needed_and_braces_stay(
    questions: Path, writer: Writer, tmp_path: Path
) -> None:
    config = mt_bench.Config(questions=str(questions))
    mt_bench.score_answers(config, answered(questions), questions, tmp_path)
    texts = [messages[-1][1] for messages in writer.asked]
    assert "one right" in texts[2]
    assert "two right" in texts[3]
    assert not any("right" in text for text in texts[:2])
    assert "w8 {answer}" in texts[2], "a question's braces are no field"
    assert "[Answer to it]\nfirst {x}" in texts[1]
    assert "[Answer to grade]\nsecond" in texts[1]


def test_fastchats_own_prompts(questions: Path, writer: Writer, tmp_path: Path) -> None:
    names = ("single-v1", "single-math-v1", "single-v1-multi-turn", "single-math-v1-multi-turn")
    rows = [
        {"name": n, "type": "single", "system_prompt": f"sys {n}", "prompt_template": f"{n} {{question}}"}
        for n in names
    ]
    file = tmp_path / "judge_prompts.jsonl"
    file.write_text("\n".join(map(json.dumps, rows)))
    config = mt_bench.Config(questions=str(questions), judge_prompts=str(file))
    score, *_ = mt_bench.score_answers(config, answered(questions), questions, tmp_path)
    assert writer.asked[0][0] == ("system", "sys single-v1")
    assert writer.asked[3][1][1].startswith("single-math-v1-multi-turn")
    assert score.settings["judge_prompts"] == "FastChat's"
    file.write_text(json.dumps(rows[0]))
    with pytest.raises(UserError, match="has no prompt single-math-v1"):
        mt_bench.score_answers(config, answered(questions), questions, tmp_path)


def test_the_second_turn_is_asked_with_the_first_answer(
    questions: Path, tiny_model: Path, prepared: Path
) -> None:
    loaded = load_model(str(tiny_model), prepared / "tokenizer", stop_token_ids=[2])
    prompts = mt_bench.prompts(mt_bench.Config(questions=str(questions)), prepared)
    answers = answer_turns(loaded, prompts, GenerationSpec(max_new_tokens=5, batch_size=2))
    assert [a.id for a in answers] == ["81-1", "111-1", "121-1", "81-2", "111-2", "121-2"]
    second = answers[3]
    assert second.prompt == "w7"
    assert second.meta["earlier"] == [
        {"role": "user", "content": "w5 w6"},
        {"role": "assistant", "content": answers[0].text},
    ]


def test_missing_questions_and_judges_that_cannot_write(questions: Path, monkeypatch: Any) -> None:
    context = CheckContext(questions, "m", False)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(UserError, match="questions are not installed"):
        mt_bench.check(mt_bench.Config(), context)
    with pytest.raises(UserError, match="no such file"):
        mt_bench.check(mt_bench.Config(questions="./none.jsonl"), context)
    with pytest.raises(UserError, match="cannot grade by MT-Bench's prompts"):
        mt_bench.check(mt_bench.Config(questions=str(questions), judge="embedded", judge_config={}), context)


def test_published_judgments_are_replayed(questions: Path, tmp_path: Path) -> None:
    folder = tmp_path / "published"
    folder.mkdir()
    rows = [
        {"question_id": q["question_id"], "model": m, "judge": ["gpt-4", "single-v1"], "turn": t, "score": g}
        for m, base in (("a", 6), ("b", 8))
        for q in QUESTIONS
        for t, g in ((1, base), (2, base - 1))
    ]
    rows.append({"question_id": 81, "model": "b", "judge": ["gpt-4", "x"], "turn": 3, "score": -1})
    (folder / "gpt-4_single.jsonl").write_text("\n".join(map(json.dumps, rows)))
    (folder / "question.jsonl").write_text((questions / "question.jsonl").read_text())
    found = mt_bench.replay(folder, tmp_path)
    scores = {s.metric: s for s in found["b"]}
    assert (scores["score"].estimate, scores["score"].settings["parse_failures"]) == (7.5, 1)
    assert scores["score_in_math"].estimate == 7.5
    assert found["a"][0].settings["judge"] == "gpt-4"
    items = read_jsonl(tmp_path / str(found["a"][0].items_file))
    assert [item["cluster"] for item in items] == ["81", "81", "111", "111", "121", "121"]
    rows[0]["score"] = 70
    (folder / "gpt-4_single.jsonl").write_text("\n".join(map(json.dumps, rows)))
    with pytest.raises(UserError, match="judge gpt-4 graded turn 1 of question 81 with 70"):
        mt_bench.replay(folder, tmp_path)
