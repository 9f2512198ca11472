"""The first page: a short line an answer, in plain words, with the numbers of the tables."""

from __future__ import annotations

import shlex
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from synthetic import make_view

from harness.evidence.documents.comparison import build_report
from harness.evidence.next_steps import DEFAULT_ROOT
from harness.tables import FirstPage, Report
from harness.units import plain

ACCURACY, GRADE = "preference.accuracy", "rubric.grade"
MOST_WORDS = 150


def seen(
    means: dict[str, tuple[float, ...]],
    *questions: dict[str, Any],
    quantity: str = ACCURACY,
    command: str = "harness compare",
    root: Path = DEFAULT_ROOT,
    **changes: Any,
) -> Report:
    """A report on these means a seed, with these questions."""
    seeds = tuple(range(len(next(iter(means.values())))))
    view = make_view(seeds=seeds, questions=list(questions), **changes)
    items = {
        f"{arm}@{seed}": {quantity: {f"i{i}": mean + 0.001 * i for i in range(20)}}
        for arm, of_arm in means.items()
        for seed, mean in enumerate(of_arm)
    }
    record = view.record.model_copy(update={"command": command})
    return build_report(replace(view, record=record, items=items), root=root)


def asked(quantity: str = ACCURACY, margin: float | None = 0.05, **changes: Any) -> dict[str, Any]:
    return {"quantity": quantity, "a": "orpo", "b": "sft_dpo", "margin": margin, **changes}


def first_of(report: Report) -> FirstPage:
    assert report.first is not None
    return report.first


CLEAR = {"orpo": (0.80, 0.81, 0.80), "sft_dpo": (0.60, 0.60, 0.61)}
ALIKE = {"orpo": (0.600, 0.602, 0.601), "sft_dpo": (0.601, 0.600, 0.601)}
FORTUNE = {"orpo": (0.70, 0.68, 0.69), "sft_dpo": (0.76, 0.77, 0.745)}
"""Worse with p near 0.01, which a family of 31 does not bear."""


@pytest.mark.parametrize(
    ("means", "questions", "words"),
    [
        (CLEAR, [asked()], "Accuracy (preference): better; +"),
        (ALIKE, [asked()], "Accuracy (preference): equivalent within 5.00 points; "),
        (FORTUNE, [asked(margin=None)], "Accuracy (preference): worse; -"),
        (
            FORTUNE,
            [asked(margin=None), *[asked(GRADE, b="sft")] * 30],
            "Accuracy (preference): not significant after correction for 31 questions; -",
        ),
        (CLEAR, [asked(GRADE)], "Grade (rubric): not measured ("),
        (CLEAR, [asked(a="sft_dpo", b="orpo"), asked()], "Accuracy (preference): worse; -"),
        (CLEAR, [asked("cost.flops")], "FLOPs: better; "),
    ],
)
def test_a_verdict_in_plain_words(means: Any, questions: Any, words: str) -> None:
    lines = first_of(seen(means, *questions)).answers
    assert len(lines) == len(questions)
    assert lines[0].startswith(words)


def test_its_numbers_are_those_of_the_questions_table() -> None:
    report = seen(CLEAR, asked(), asked("cost.wall_seconds"), asked("cost.flops"))
    table = next(table for table in report.tables() if table.name == "questions")
    accuracy, seconds, flops = (row[3] for row in table.rows)
    lines = first_of(report).answers
    value, low, high = (str(part) for part in plain(accuracy).replace("points ", "").strip("]").split())
    assert f"+{value} points (95%: +{low[1:-1]} to +{high})" in lines[0]
    for line, cell in zip(lines[1:], (seconds, flops), strict=True):
        assert isinstance(cell.value, float)
        assert f"{100 * cell.value:.1f}% of SFT then DPO" in line


def test_the_forest_has_the_same_numbers_and_the_margins() -> None:
    report = seen(CLEAR, asked(), asked("cost.wall_seconds", 0.1))
    table = next(table for table in report.tables() if table.name == "questions")
    scores, costs = next(figure for figure in report.figures() if figure.name == "registered").panels
    for panel, row, margins in (
        (scores, table.rows[0], (-5.0, 5.0)),
        (costs, table.rows[1], (100 / 1.1, 110.0)),
    ):
        (drawn,) = panel.rows
        assert drawn.value == pytest.approx(100 * float(row[3].value or 0))
        assert drawn.margins == pytest.approx(margins)
    assert costs.neutral == 100.0


def test_one_quantity_of_several_pairs_stands_in_the_title_and_rows_name_arms() -> None:
    """A label has room for about forty letters: `Accuracy (preference), SFT then DPO (sft_dpo_ref...`."""
    pairs = (("orpo", "sft_dpo"), ("sft_dpo", "sft"), ("orpo", "sft"))
    questions = [{"quantity": ACCURACY, "a": a, "b": b} for a, b in pairs]
    report = build_report(make_view(seeds=(0, 1, 2), questions=questions))
    panel = next(figure for figure in report.figures() if figure.name == "registered").panels[0]
    assert panel.title == "Scores: Accuracy (preference)"
    assert [row.label for row in panel.rows] == [f"{a} against {b}" for a, b in pairs]


def test_without_questions_it_says_exploratory_and_draws_no_forest() -> None:
    report = seen(CLEAR)
    assert first_of(report).answers[0].startswith("Accuracy (preference): better; +")
    assert "Exploratory: no question was registered before the run." in first_of(report).warnings
    assert not any(figure.name == "registered" for figure in report.figures())


@pytest.mark.parametrize(
    ("changes", "warning"),
    [
        ({"random_weights": True}, "Training began from random weights: quality is not measured."),
        ({}, "The arms were not on equal terms: a|b_c."),
    ],
)
def test_what_touches_the_answers_stands_beside_them(changes: dict[str, Any], warning: str) -> None:
    assert warning in first_of(build_report(make_view(**changes))).warnings


def test_one_seed_is_a_warning() -> None:
    one_seed = {arm: means[:1] for arm, means in CLEAR.items()}
    assert any(text.startswith("One seed:") for text in first_of(seen(one_seed, asked())).warnings)
    assert not any(text.startswith("One seed:") for text in first_of(seen(CLEAR, asked())).warnings)


def test_without_an_interval_nothing_is_said_of_a_difference() -> None:
    one_seed = {arm: means[:1] for arm, means in CLEAR.items()}
    (line,) = first_of(seen(one_seed, asked("cost.wall_seconds"))).answers
    assert line.startswith("Training time: no verdict, since one seed has no interval; ")


def test_an_open_question_says_how_to_settle_it() -> None:
    noisy = {"orpo": (0.5, 0.7, 0.6), "sft_dpo": (0.6, 0.55, 0.66)}
    assert any("--power" in text for text in first_of(seen(noisy, asked())).next_steps)
    assert not any("--power" in text for text in first_of(seen(CLEAR, asked())).next_steps)


def test_five_answers_and_their_warnings_are_read_in_a_minute() -> None:
    costs = [asked("cost.wall_seconds"), asked("cost.flops")]
    first = first_of(seen(FORTUNE, asked(), asked(b="sft"), asked(GRADE), *costs))
    text = " ".join((first.question, *first.answers, *first.warnings))
    assert len(text.split()) <= MOST_WORDS


def test_what_to_type_next_can_be_pasted() -> None:
    """Each led to the default folder of runs, and the plan was that of the default comparison."""
    open_still = {"orpo": (0.60, 0.75, 0.66), "sft_dpo": (0.62, 0.66, 0.71)}
    asked_by = "harness compare mine.yaml --seeds 2 --out '/my runs'"
    steps = first_of(seen(open_still, asked(), command=asked_by, root=Path("/my runs"))).next_steps
    commands = [shlex.split(one.partition(": ")[2]) for one in steps]
    assert [words[:2] for words in commands] == [["harness", n] for n in ("plan", "ui", "paper", "trace")]
    assert commands[0] == shlex.split("harness plan --power mine.yaml --seeds 2 --out '/my runs'")
    assert all(words[-2:] == ["--out", "/my runs"] for words in commands)
    assert not any("--out" in one for one in first_of(build_report(make_view())).next_steps)


def test_one_arm_alone_has_no_first_page() -> None:
    view = make_view(arms={"sft": ["sft"]})
    assert build_report(view).first is None
