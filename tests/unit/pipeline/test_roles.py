"""Which arm plays which part where a comparison file leaves it open."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from harness.errors import UserError
from harness.pipeline.load import load_comparison
from harness.pipeline.overrides import Overrides
from harness.pipeline.roles import with_roles

HEAD = """kind: comparison
name: mine
seeds: [0]
training: {learning_rate: 0.001}
"""


def filled(arms: list[str], **data: Any) -> dict[str, Any]:
    made: dict[str, Any] = with_roles({"arms": [{"name": arm} for arm in arms], **data})
    return made


def sides(made: dict[str, Any]) -> list[tuple[str, str]]:
    return [(question["a"], question["b"]) for question in made["questions"]]


QUESTION = {"quantity": "rubric.grade"}


def test_parts_that_nobody_gave_follow_from_the_arms() -> None:
    made = filled(["sft", "x", "y"])
    assert (made["baseline"], made["cost_reference"], made["budget"]["of"]) == ("sft", "sft", "sft")
    made = filled(["sft", "x", "y"], baseline="x", budget={"axis": "flops"})
    assert (made["cost_reference"], made["budget"]) == ("x", {"axis": "flops", "of": "x"})
    made = filled(["sft", "x", "y"], cost_reference="y", budget={"of": "x"})
    assert (made["baseline"], made["budget"]["of"]) == ("sft", "x")


@pytest.mark.parametrize(
    ("arms", "data", "expected"),
    [
        (["sft", "sft_dpo", "orpo"], {"cost_reference": "sft_dpo"}, ("orpo", "sft_dpo")),
        (["sft", "orpo", "sft_dpo"], {"cost_reference": "sft_dpo"}, ("orpo", "sft_dpo")),
        (["sft", "x", "y"], {}, ("y", "x")),
        (["x", "y"], {}, ("y", "x")),
        (["x", "y"], {"baseline": "y"}, ("x", "y")),
    ],
)
def test_a_question_is_about_the_two_arms_that_there_are(
    arms: list[str], data: dict[str, Any], expected: tuple[str, str]
) -> None:
    assert sides(filled(arms, questions=[QUESTION], **data)) == [expected]


def test_one_side_leaves_the_other() -> None:
    asked = [{**QUESTION, "a": "x"}, {**QUESTION, "b": "y"}, {**QUESTION, "a": "y"}, {**QUESTION, "b": "x"}]
    made = filled(["sft", "x", "y"], questions=asked)
    assert sides(made) == [("x", "y"), ("x", "y"), ("y", "x"), ("y", "x")]


@pytest.mark.parametrize(
    ("arms", "question"), [(["sft", "x", "y", "z"], QUESTION), (["sft", "x", "y"], {**QUESTION, "a": "sft"})]
)
def test_a_question_that_could_be_about_more_is_an_error(arms: list[str], question: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"questions\.0 does not say which two arms it is about"):
        filled(arms, questions=[question])
    said = {**question, "a": arms[-1], "b": arms[-2]}
    assert sides(filled(arms, questions=[said])) == [(arms[-1], arms[-2])]


def test_what_is_no_comparison_is_left_to_validation() -> None:
    for data in (None, [], {"arms": None}, {"arms": [{}]}, {"arms": "sft"}):
        assert with_roles(data) == data


def comparison(tmp_path: Path, arms: str, questions: str) -> Path:
    path = tmp_path / "mine.yaml"
    settings = "stages:\n  dpo: {beta: 0.1}\n  orpo: {lambda: 0.1}\n"
    path.write_text(f"{HEAD}{settings}arms: {arms}\nquestions:\n{questions}")
    return path


def test_a_file_may_leave_its_parts_open(tmp_path: Path) -> None:
    path = comparison(tmp_path, "[sft, sft_dpo, orpo]", "  - {quantity: preference.accuracy}\n")
    spec = load_comparison(path)
    assert (spec.baseline, spec.cost_reference, spec.budget.of) == ("sft", "sft", "sft")
    assert [(q.a, q.b) for q in spec.questions] == [("orpo", "sft_dpo")]


def test_an_ambiguous_file_is_one_message(tmp_path: Path) -> None:
    arms = "[sft, sft_dpo, orpo, sft_dpo_precomputed]"
    with pytest.raises(UserError) as error:
        load_comparison(comparison(tmp_path, arms, "  - {quantity: preference.accuracy}\n"))
    assert "questions.0 does not say which two arms" in str(error.value)
    assert "write its a and b: this comparison holds sft, sft_dpo, orpo, sft_dpo_precomputed" in str(
        error.value
    )


def test_a_question_about_an_arm_that_the_file_lacks_names_its_line(tmp_path: Path) -> None:
    question = "  - {quantity: preference.accuracy, a: opro, b: sft_dpo}\n"
    path = comparison(tmp_path, "[sft, sft_dpo, orpo]", question)
    with pytest.raises(UserError) as error:
        load_comparison(path)
    assert 'unknown arm "opro"; did you mean "orpo"' in str(error.value)
    assert f"mine.yaml:{path.read_text().splitlines().index(question.strip(chr(10))) + 1}" in str(error.value)


def test_arms_left_out_on_the_command_line_leave_the_questions_as_they_are() -> None:
    spec = load_comparison(Path("pipelines/embedded.yaml"), Overrides(arms=["sft", "orpo"]))
    assert {(q.a, q.b) for q in spec.questions} == {("orpo", "sft_dpo")}


@pytest.mark.parametrize(
    ("name", "of"), [("embedded", "sft_dpo"), ("ultrafeedback", "sft_dpo"), ("a_a", "orpo")]
)
def test_shipped_comparisons_keep_their_parts(name: str, of: str) -> None:
    spec = load_comparison(Path(f"pipelines/{name}.yaml"))
    assert spec.budget.of == spec.cost_reference == of
