"""Whether answers are those of the run, and the same both ways."""

from __future__ import annotations

from harness.serving.compared import compare
from harness.serving.prompts import Asked, ours


def asked(text: str, recorded: str | None) -> Asked:
    return Asked([{"role": "user", "content": text}], recorded)


def test_equal_answers_hold(server: int) -> None:
    found = compare(server, "model", [asked("one two", "two one"), asked("three four", None)], 8)
    assert found.holds
    assert (found.asked, found.recorded, found.same, found.streamed_alike) == (2, 1, 1, 2)


def test_another_answer_is_counted_and_shown(server: int) -> None:
    found = compare(server, "model", [asked("one two", "two one"), asked("a b", "b")], 8)
    assert not found.holds
    assert (found.recorded, found.same) == (2, 1)
    assert found.first_other == ("a b", "b", "b a")


def test_a_stream_that_says_something_else_does_not_hold(server: int) -> None:
    found = compare(server, "model", [asked("differ here", None)], 8)
    assert (found.streamed_alike, found.holds) == (0, False)


def test_a_failure_is_no_answer(server: int) -> None:
    found = compare(server, "model", [asked("refuse", "x"), asked("one", "one")], 8)
    assert (found.failed, found.error, found.holds) == (1, "HTTP status 500", False)
    assert (found.recorded, found.same) == (1, 1)


def test_our_own_prompts_are_many_enough_for_a_quantile_and_distinct() -> None:
    texts = [one.messages[0]["content"] for one in ours()]
    assert len(set(texts)) == len(texts) >= 20
