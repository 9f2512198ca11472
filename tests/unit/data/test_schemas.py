"""Rows of every shape, and the place and the remedy where a row is wrong."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from harness.data.schemas import to_conversations, to_pairs
from harness.errors import UserError

SYSTEM = {"role": "system", "content": "be brief"}
USER = {"role": "user", "content": "hi"}
MORE = {"role": "user", "content": "and?"}


def said(text: str) -> dict[str, str]:
    return {"role": "assistant", "content": text}


def where(index: int) -> str:
    return f"f:{index + 1}"


@pytest.mark.parametrize(
    ("row", "prompt"),
    [
        (
            {"prompt": "hi", "chosen": [SYSTEM, USER, said("a")], "rejected": [SYSTEM, USER, said("b")]},
            [SYSTEM, USER],
        ),
        (
            {
                "prompt": [USER],
                "chosen": [said("x"), MORE, said("a")],
                "rejected": [said("x"), MORE, said("b")],
            },
            [USER, said("x"), MORE],
        ),
        ({"prompt": "hi", "chosen": [USER, said("a")], "rejected": "b"}, [USER]),
        (
            {
                "chosen": "\n\nHuman: hi\n\nAssistant: x\n\nHuman: and?\n\nAssistant: a",
                "rejected": "\n\nHuman: hi\n\nAssistant: x\n\nHuman: and?\n\nAssistant: b",
            },
            [USER, said("x"), MORE],
        ),
    ],
    ids=["system message", "later turns", "one conversation", "long transcript"],
)
def test_prompts_with_more_than_one_message(row: dict[str, Any], prompt: list[dict[str, str]]) -> None:
    pair = to_pairs([row], where).pairs[0]
    assert (pair.prompt, pair.chosen, pair.rejected) == (prompt, "a", "b")


def test_a_pair_that_is_identical_keeps_its_answer_out_of_the_prompt() -> None:
    row = {"prompt": "hi", "chosen": [USER, said("a")], "rejected": [USER, said("a")]}
    pair = to_pairs([row], where).pairs[0]
    assert (pair.prompt, pair.chosen, pair.rejected) == ([USER], "a", "a")


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (
            {"prompt": "hi", "chosen": [USER, said("x"), MORE, said("a")], "rejected": [USER, said("b")]},
            "f:1: chosen and rejected differ before their last message",
        ),
        (
            {"chosen": [USER, said("a")], "rejected": [MORE, said("b")]},
            "f:1: chosen and rejected share no prompt",
        ),
        ({"chosen": [said("a")], "rejected": [said("b")]}, "f:1: chosen and rejected share no prompt"),
        ({"chosen": [USER, MORE], "rejected": [USER, said("b")]}, "chosen does not end with an assistant's"),
        (
            {"prompt": "a", "chosen": [{"role": "assistant", "content": None}], "rejected": "c"},
            "neither text nor",
        ),
        ({"prompt": [], "chosen": "b", "rejected": "c"}, "prompt is neither text nor a list of messages"),
        ({"prompt": "a", "chosen": 7, "rejected": "c"}, "chosen is neither text nor a list of messages"),
        (
            {"prompt": [{"role": "human", "content": "a"}], "chosen": "b", "rejected": "c"},
            'prompt has a message of role "human"; use system, user, assistant',
        ),
        ({"prompt": "a", "rejected": "c"}, "f:1: has no chosen answer; .*columns: prompt, rejected"),
    ],
)
def test_rows_that_cannot_be_read(row: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        to_pairs([row], where)


def test_ids_hold_the_rows_own_and_its_content() -> None:
    row = {"prompt": "hi", "prompt_id": "p7", "chosen": "a", "rejected": "b"}
    first, other, again = to_pairs([row, {**row, "rejected": "c"}, row], where).pairs
    assert first.id.startswith("p7-")
    assert other.id.startswith("p7-")
    assert len({first.id, other.id, again.id}) == 3
    assert again.id == f"{first.id}.2"
    assert first.group == other.group


@pytest.mark.parametrize(
    "row",
    [
        {"prompt": "ignored", "messages": [USER, said("x"), MORE, said("a"), USER]},
        {"prompt": [USER, said("x"), MORE], "completion": "a"},
        {"prompt": [USER, said("x"), MORE], "completion": [said("a")]},
        {"chosen": [USER, said("x"), MORE, said("a")], "rejected": [USER, said("b")]},
        {"prompt": "hi", "chosen": [USER, said("x"), MORE, said("a")]},
    ],
    ids=["messages", "completion", "completion messages", "preference", "preference with prompt"],
)
def test_conversations(row: dict[str, Any]) -> None:
    found = to_conversations([row], where)[0]
    assert (found.prompt, found.chosen, found.rejected) == ([USER, said("x"), MORE], "a", "")


def test_a_conversation_without_an_answer_is_counted_later() -> None:
    assert to_conversations([{"messages": [USER]}], where)[0].chosen == ""
    with pytest.raises(UserError, match="f:1: holds neither messages nor prompt and completion"):
        to_conversations([{"text": "a"}], where)


DIVERGING = {"chosen": [USER, said("a")], "rejected": [MORE, said("b")]}
TWICE = {"chosen": [USER, MORE, said("a")], "rejected": [USER, MORE, said("b")]}
SHARED = {"chosen": [SYSTEM, USER, said("a")], "rejected": [SYSTEM, USER, said("b")]}
CUT_OFF = {"chosen": "\n\nHuman: hi\n\nAssistant: a", "rejected": "\n\nHuman: hi"}


def test_a_row_without_a_shared_prompt_is_left_out_and_named() -> None:
    read = to_pairs([SHARED, DIVERGING, TWICE, CUT_OFF, SHARED], where)
    assert [pair.prompt for pair in read.pairs] == [[SYSTEM, USER]] * 2
    assert read.diverging == [
        "f:2: chosen and rejected share no prompt",
        "f:3: user and assistant do not take turns",
        "f:4: rejected does not end with an assistant's message",
    ]


def test_rows_that_all_diverge_are_an_error() -> None:
    with pytest.raises(UserError, match="f:1: chosen and rejected share no prompt"):
        to_pairs([DIVERGING, TWICE], where)


def test_a_row_without_the_prompt_that_others_have_is_an_error() -> None:
    with pytest.raises(UserError, match="f:2: chosen and rejected share no prompt"):
        to_pairs([{"prompt": "hi", "chosen": "a", "rejected": "b"}, DIVERGING], where)


PAGE = (Path(__file__).parents[3] / "docs" / "data.md").read_text(encoding="utf-8")
SHOWN = [json.loads(text) for text in re.findall(r"```json\n(.*?)```", PAGE, flags=re.DOTALL)]
SHOWN_SFT = [json.loads(text) for text in re.findall(r"```json sft\n(.*?)```", PAGE, flags=re.DOTALL)]


def test_the_rows_of_the_documentation_are_read() -> None:
    assert len(SHOWN) == 5
    for row in SHOWN:
        (pair,) = to_pairs([row], where).pairs
        assert pair.prompt[-1] == {"role": "user", "content": "Name a fruit."}
        assert (pair.chosen, pair.rejected) == ("An apple.", "A stone.")
    assert len(SHOWN_SFT) == 2
    for row in SHOWN_SFT:
        (conversation,) = to_conversations([row], where)
        assert (conversation.prompt[-1]["content"], conversation.chosen) == ("Name a fruit.", "An apple.")
