"""Text of judges, as they write it: the winner or the grade that it names, or nothing."""

from __future__ import annotations

import re

import pytest

from harness.judges import written_grade
from harness.judges._verdicts import read_grade, read_preference

A, B, TIE = 1.0, 0.0, 0.5
PREFERENCES = {
    "A": A,
    " b.": B,
    "**T**": TIE,
    '"A"': A,
    "(B)": B,
    "[A]": A,
    "A, because it is correct": A,
    "B - more helpful": B,
    "A\n\nIt answers the question.": A,
    "Answer A": A,
    "Answer: B": B,
    "The answer is B.": B,
    "Final answer: A": A,
    "The better answer is B": B,
    "**Verdict:** B": B,
    "Winner: Assistant A": A,
    "It is close on style.\n\nVerdict: tie": TIE,
    "Answer A is better because it": A,
    "A is better than B": A,
    "A is worse than B": B,
    "Answer B is slightly less helpful than Answer A.": A,
    "B wins": B,
    "I prefer Response B.": B,
    "A > B": A,
    "A<B": B,
    "A = B": TIE,
    "A tie": TIE,
    "Tie": TIE,
    "It's a tie.": TIE,
    "I would call it a draw": TIE,
    "Both answers are equally good": TIE,
    "Neither answer is better.": TIE,
    "[[A]]": A,
    "A is better in style, B is correct. [[B]]": B,
    "[[C]]": TIE,
    "": None,
    "C": None,
    "A or B": None,
    "A, B, or T": None,
    "A and B": None,
    "A\nB": None,
    "[[A]] or rather [[B]]": None,
    "A good question": None,
    "A better answer would say why": None,
    "Both are lovely": None,
    "Both answers": None,
    "A is not better than B": None,
    "I cannot choose A or B": None,
    "A is more helpful, B is more correct": None,
    "A: 8, B: 6": None,
    "A tie-breaker is needed": None,
    "[Answer A]\none\n[Answer B]\ntwo": None,
}


@pytest.mark.parametrize(("text", "value"), PREFERENCES.items())
def test_a_preference_is_what_the_text_says_or_nothing(text: str, value: float | None) -> None:
    assert read_preference(text) == value


@pytest.mark.parametrize(("text", "value"), PREFERENCES.items())
def test_the_mirrored_text_says_the_mirrored_preference(text: str, value: float | None) -> None:
    """A parser that reads one side more readily than the other is a judge with a leaning."""
    if text in (" b.", "A tie"):
        pytest.skip("one of its letters is not a side")
    swapped = re.sub(r"\b[AB]\b", lambda match: {"A": "B", "B": "A"}[match[0]], text)
    assert read_preference(swapped) == (None if value is None else 1 - value)


WRITTEN = {
    "Fine. [[7]]": 7,
    "[[5.5]]": 5.5,
    "Rating: [[8/10]]": 8,
    "For example [[5]]. The answer is good: [[9]]": 9,
    "Rating: [8]": 8,
    "**Rating**: 8": 8,
    "As said in [1] and [2], it is right.\n\nRating: 8": 8,
    "My grade is 7.5.": 7.5,
    "Score: 9/10": 9,
    "Score: 9 out of 10, well done": 9,
    "The answer is right. [8]": 8,
    "The answer is right. [8].": 8,
    "It cites [1] and stops.": None,
    "[1] is cited first. No grade": None,
    "Rating: 7. On reflection, rating: 4": None,
    "Rating: 7 to 8": None,
    "Score: 80/100": None,
    "Score: 8.5/100": None,
    "Score: 4/5": None,
    "[[11]]": None,
    "[[0]]": None,
    "no grade": None,
    "": None,
}
"""FastChat reads 5 in the example's place, and 1 in each text with a footnote."""


@pytest.mark.parametrize(("text", "grade"), WRITTEN.items())
def test_the_grade_of_an_explained_judgment(text: str, grade: float | None) -> None:
    assert written_grade(text) == grade


@pytest.mark.parametrize(
    ("text", "grade"),
    [
        ("10", 10),
        ("1.", 1),
        ("**8**", 8),
        ("8/10", 8),
        ("8 because it is right", 8),
        ("8\nIt is right.", 8),
        ("Grade: 8", 8),
        ("[[8]]", 8),
        ("7 or 8", None),
        ("7-8", None),
        ("80/100", None),
        ("4/5", None),
        ("11", None),
        ("eleven", None),
        ("1. Helpful: yes\n2. Correct: no", None),
        ("-5", None),
    ],
)
def test_the_grade_of_a_reply_that_is_one(text: str, grade: float | None) -> None:
    assert read_grade(text) == grade


@pytest.mark.parametrize("text", ["Rating: [[6]]", "Good.\n\nRating: [[10]]", "[[3]] since it is short"])
def test_fastchats_own_pattern_reads_the_same_where_there_is_one_grade(text: str) -> None:
    """`one_score_pattern` of fastchat/llm_judge/common.py."""
    match = re.search(r"\[\[(\d+\.?\d*)\]\]", text)
    assert match is not None
    assert written_grade(text) == float(match[1])
