"""Pairs before a judge: what is left out, what is counted, and in which numbers it speaks."""

from __future__ import annotations

import json
import math
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from harness.benchmarks import alpaca_eval, rubric
from harness.benchmarks._duels import duel
from harness.errors import UserError
from harness.generate import Answer
from harness.jsonl import read_jsonl
from harness.judges import Duel
from harness.judges.jury import Jury
from harness.records import Score


def pairs(number: int, of: str = "") -> list[tuple[Answer, Answer]]:
    """Prompts with two answers of equal length."""
    return [
        (
            Answer(f"{of}i{n}", "alpaca_eval", f"{of} prompt {n}", f"own {n}", 3, "stop"),
            Answer(f"{of}i{n}", "alpaca_eval", f"{of} prompt {n}", f"his {n}", 3, "stop"),
        )
        for n in range(number)
    ]


def win_rate(judge: Any, between: list[tuple[Answer, Answer]], out: Path, cell: str = "a@0") -> Score:
    scores = duel(judge, between, out, cell=cell, rival="b@0", metric="win_rate")
    return next(score for score in scores if score.metric == "win_rate")


class Leaning:
    """Takes the first place with probability `first`; of some places it says nothing it can be read by."""

    name = "leaning"

    def __init__(self, first: float, unread_first: float, unread_second: float) -> None:
        self._first, self._unread = first, {True: unread_first, False: unread_second}
        self._draw = random.Random(0)

    def prefer_all(self, duels: Sequence[Duel], progress: Any = None) -> list[float | None]:
        return [self._one(first.startswith("own")) for _, first, _ in duels]

    def _one(self, own_first: bool) -> float | None:
        unread = self._draw.random() < self._unread[own_first]
        return None if unread else float(self._draw.random() < self._first)


@pytest.mark.slow
@pytest.mark.parametrize(("unread_first", "unread_second"), [(0.3, 0.3), (0.5, 0.05), (0.05, 0.5)])
def test_equal_models_win_half_before_a_judge_that_leans_and_mumbles(
    unread_first: float, unread_second: float, tmp_path: Path
) -> None:
    """With half-read pairs counted by the order that was read, the last two show 40.5% and 59.2%."""
    score = win_rate(Leaning(0.7, unread_first, unread_second), pairs(4000), tmp_path)
    assert score.estimate == pytest.approx(0.5, abs=4 * (0.21 / 2 / score.n) ** 0.5)
    rows = read_jsonl(tmp_path / str(score.items_file))
    orders = [(r["own_preference_when_second"], r["own_preference_when_first"]) for r in rows]
    half = sum((a is None) != (b is None) for a, b in orders)
    assert score.settings["half_read"] == half > 1000
    assert score.n == sum(a is not None and b is not None for a, b in orders)
    assert score.settings["parse_failures"] == sum(p is None for pair in orders for p in pair)


def test_a_jurors_half_read_pair_does_not_lean_the_jury(tmp_path: Path) -> None:
    """One juror leans and mumbles, the other is fair: the jury of equal models stays at half."""
    jury = Jury([Leaning(0.9, 0.6, 0.0), Leaning(0.5, 0.0, 0.0)])
    score = win_rate(jury, pairs(3000), tmp_path)
    assert score.n == 3000
    assert score.estimate == pytest.approx(0.5, abs=0.02)


class Fixed:
    def __init__(self, value: Any, name: str = "outsider") -> None:
        self.name, self._value = name, value

    def prefer_all(self, duels: Sequence[Duel], progress: Any = None) -> list[Any]:
        return [self._value] * len(duels)

    def grade_all(self, answers: Sequence[tuple[str, str]], progress: Any = None) -> list[Any]:
        return [self._value] * len(answers)


@pytest.mark.parametrize("value", [2, 1.5, -1, float("nan"), "A"])
def test_a_judge_that_speaks_another_coding_is_named(value: Any, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"judge outsider returned .* which is not between 0 and 1"):
        win_rate(Fixed(value), pairs(3), tmp_path)
    with pytest.raises(UserError, match="judge outsider returned"):
        Jury([Fixed(0.5, "fine"), Fixed(value)]).prefer_all([("p", "a", "b")])


def test_a_judge_that_answers_too_few_is_named(tmp_path: Path) -> None:
    class Short(Fixed):
        def prefer_all(self, duels: Sequence[Duel], progress: Any = None) -> list[Any]:
            return [0.5]

    with pytest.raises(UserError, match="judge outsider returned 1 preferences for 6 questions"):
        win_rate(Short(0.5), pairs(3), tmp_path)


def test_grades_are_shares_of_the_full_grade(
    prepared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rubric, "_judge", lambda config, cache: Fixed(7))
    answers = [own for own, _ in pairs(2)]
    with pytest.raises(UserError, match="judge outsider returned 7 as grade 0"):
        rubric.score_answers(rubric.Config(), answers, prepared, tmp_path)


@pytest.mark.parametrize(("value", "rate"), [(0.8, 0.5), (0.5, 0.5), (1.0, 0.5)])
def test_a_weighted_preference_keeps_its_weight(value: float, rate: float, tmp_path: Path) -> None:
    score = win_rate(Fixed(value), pairs(4), tmp_path)
    assert score.estimate == pytest.approx(rate)
    row = read_jsonl(tmp_path / str(score.items_file))[0]
    assert row["own_preference_when_first"] == pytest.approx(value)
    assert row["own_preference_when_second"] == pytest.approx(1 - value)


def test_pairs_of_one_prompt_are_a_cluster(tmp_path: Path) -> None:
    twice = pairs(3) + [(own, his) for own, his in pairs(1)]
    score = win_rate(Fixed(0.5), twice, tmp_path)
    clusters = [row.get("cluster") for row in read_jsonl(tmp_path / str(score.items_file))]
    assert clusters[0] == clusters[3] is not None
    assert clusters[1:3] == [None, None]


def annotations(folder: Path, values: list[Any]) -> Path:
    rows = [
        {
            "instruction": f"q{i}",
            "output_1": "ref",
            "output_2": "own",
            "generator_1": "gpt",
            "generator_2": "m",
            "annotator": "someone",
            "preference": value,
        }
        for i, value in enumerate(values)
    ]
    (folder / "m.annotations.json").write_text(json.dumps(rows))
    return folder


def test_published_preferences_are_one_to_two_with_an_old_zero_for_a_tie(tmp_path: Path) -> None:
    found = alpaca_eval.replay(annotations(tmp_path, [1, 2, 1.5, 0, 1.8, None]), tmp_path)
    score = next(s for s in found["m"] if s.metric == "win_rate")
    wins = [r["metrics"]["win_rate"] for r in read_jsonl(tmp_path / str(score.items_file))]
    assert wins == pytest.approx([0, 1, 0.5, 0.5, 0.8, None])
    assert score.settings["parse_failures"] == 1


@pytest.mark.parametrize("values", [[1, 2, 0.5], [1, 2, 3], [1, 2, -1], [1, 2, math.inf]])
def test_published_preferences_of_another_range_name_their_judge(values: list[Any], tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"annotation 2: preference by someone is .*, which is not between"):
        alpaca_eval.replay(annotations(tmp_path, values), tmp_path)


def test_zeros_and_ones_alone_could_be_either_coding(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="by someone hold the preferences 0 and 1 alone"):
        alpaca_eval.replay(annotations(tmp_path, [1, 0, 1, None]), tmp_path)
    alpaca_eval.replay(annotations(tmp_path, [1, 1, 1]), tmp_path)


class Independent:
    """A juror who prefers our answer with a probability that the cell has, whatever the pair."""

    def __init__(self, name: str, seed: int) -> None:
        self.name, self._draw = name, random.Random(seed)

    def prefer_all(self, duels: Sequence[Duel], progress: Any = None) -> list[float | None]:
        return [self._one(prompt, first) for prompt, first, _ in duels]

    def _one(self, prompt: str, first: str) -> float:
        ours = self._draw.random() < (0.9 if prompt.startswith("strong") else 0.1)
        return float(ours == first.startswith("own"))


@pytest.mark.slow
def test_the_agreement_of_independent_jurors_is_none_in_every_cell(tmp_path: Path) -> None:
    """Cells of other base rates, and the two orders of a pair, are no agreement on the pairs."""
    jury = Jury([Independent("a", 1), Independent("b", 2)])
    for cell in ("strong@0", "weak@0", "strong@1", "weak@1"):
        score = win_rate(jury, pairs(1500, cell), tmp_path, cell)
        assert score.settings["krippendorff_alpha"] == pytest.approx(0.0, abs=0.08), cell


def test_full_agreement_is_one_and_is_of_the_cell_alone(tmp_path: Path) -> None:
    jury = Jury([Leaning(0.5, 0, 0), Leaning(0.5, 0, 0)])  # Both draw from the same seed.
    assert win_rate(jury, pairs(50), tmp_path).settings["krippendorff_alpha"] == pytest.approx(1.0)
    assert "krippendorff_alpha" not in win_rate(Fixed(0.5), pairs(5), tmp_path).settings
