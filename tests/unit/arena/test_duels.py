"""Which pairs of answers are asked about, and which prompts count as those of the test."""

from __future__ import annotations

from pathlib import Path

import pytest
from synthetic import make_view

from harness.arena.duels import duels, sides_of
from harness.data.prompts import read_prompts
from harness.errors import UserError
from harness.generate import Prompt
from harness.generate.answer import digest_of_messages
from harness.votes import Message


def said(text: str, *, system: str | None = None) -> list[Message]:
    before = [] if system is None else [{"role": "system", "content": system}]
    return [*before, {"role": "user", "content": text}]


def answers(**by_text: str) -> dict[str, str]:
    return {digest_of_messages(Prompt("", "", said(text))): answer for text, answer in by_text.items()}


def test_equal_answers_and_missing_ones_are_not_asked_about() -> None:
    prompts = [(text, said(text)) for text in ("one", "two", "three", "one")]
    found = duels(prompts, answers(one="a", two="b"), answers(one="a", two="c", three="d"), test=[])
    assert [(one.prompt_id, one.answer_a, one.answer_b, one.split) for one in found.asked] == [
        ("two", "b", "c", "new")
    ]
    assert found.equal == 1


def test_a_test_prompt_typed_anew_is_still_one() -> None:
    prompts = [("one", said("one")), ("two", said("two"))]
    of_a, of_b = answers(one="a", two="a"), answers(one="b", two="b")
    found = duels(prompts, of_a, of_b, test=[said("  ONE "), said("Two", system="be kind")])
    assert {one.split for one in found.asked} == {"test"}


@pytest.mark.parametrize("arms", [None, ("orpo", "sft_dpo"), ("sft_dpo", "orpo")])
def test_the_same_arm_s_wins_are_counted_however_the_two_are_given(arms: tuple[str, str] | None) -> None:
    sides = sides_of(make_view(), arms, None)
    assert (sides.a.arm, sides.b.arm, sides.a.seed) == ("orpo", "sft_dpo", 0)


@pytest.mark.parametrize(
    ("arms", "seed", "said"),
    [
        (("orpo",), None, "names 1 arm"),
        (("orpo", "orpo"), None, "not two different ones"),
        (("orpo", "orpoo"), None, 'did you mean "orpo"'),
        (None, 9, "has no seed 9 of orpo and sft_dpo; known: 0, 1"),
    ],
)
def test_what_the_run_has_not_is_said(arms: tuple[str, ...] | None, seed: int | None, said: str) -> None:
    with pytest.raises(UserError, match=said):
        sides_of(make_view(), arms, seed)


def test_prompts_of_a_file_are_read_or_named(tmp_path: Path) -> None:
    file = tmp_path / "prompts.jsonl"
    file.write_text(
        '{"prompt": "one"}\n{"prompt": "one"}\n{"prompt": [{"role": "user", "content": "two"}]}\n'
    )
    assert list(read_prompts(file).values()) == [said("one"), said("two")]
    for bad in (
        '{"prompt": " "}',
        '{"question": "x"}',
        '{"prompt": [{"role": "assistant", "content": "x"}]}',
    ):
        file.write_text('{"prompt": "one"}\n' + bad + "\n")
        with pytest.raises(UserError, match="has no prompt that can be answered") as told:
            read_prompts(file)
        assert f"{file}:2" in str(told.value)
    with pytest.raises(UserError, match="is no file"):
        read_prompts(tmp_path / "none.jsonl")
