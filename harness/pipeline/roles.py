"""Which arm plays which part where a comparison file leaves it open.

Without a `baseline` it is the first arm; without a `cost_reference` it is the baseline; without
`budget.of` it is the cost reference. A question without sides is about the two arms besides the
baseline, or about the only two that there are: `b` is the cost reference where it is one of them, else
the first, and `a` the other.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any


def with_roles(data: Any) -> Any:
    """A comparison's mapping with every part given to an arm.

    What is no such mapping is left to validation. Raises ValueError for a question whose sides cannot
    be told.
    """
    names = _arm_names(data)
    if not names:
        return data
    baseline = data.get("baseline") or names[0]
    reference = data.get("cost_reference") or baseline
    complete = {**data, "baseline": baseline, "cost_reference": reference}
    budget, questions = data.get("budget") or {}, data.get("questions") or []
    if isinstance(budget, Mapping):
        complete["budget"] = {**budget, "of": budget.get("of") or reference}
    if isinstance(questions, list):
        pair = _pair(names, baseline, reference)
        complete["questions"] = [
            _with_sides(one, number, pair, names) for number, one in enumerate(questions)
        ]
    return complete


def _arm_names(data: Any) -> list[str]:
    """The arms' names, none where some arm has none."""
    arms = data.get("arms") if isinstance(data, Mapping) else None
    names = [arm.get("name") if isinstance(arm, Mapping) else None for arm in arms or []]
    # Two arms of one name are refused later, with their place.
    return list(dict.fromkeys(map(str, names))) if all(names) else []


def _pair(names: Sequence[str], baseline: str, reference: str) -> tuple[str, str] | None:
    """The sides of a question that names none, `a` first; None where there is more than one choice."""
    others = [name for name in names if name != baseline]
    asked = others if len(others) == 2 else list(names)
    if len(asked) != 2:
        return None
    b = reference if reference in asked else asked[0]
    return next(name for name in asked if name != b), b


def _with_sides(question: Any, number: int, pair: tuple[str, str] | None, names: Sequence[str]) -> Any:
    if not isinstance(question, Mapping) or (question.get("a") and question.get("b")):
        return question
    given = question.get("a") or question.get("b")
    if pair is None or (given is not None and given not in pair):
        raise ValueError(
            f"questions.{number} does not say which two arms it is about; "
            f"write its a and b: this comparison holds {', '.join(names)}"
        )
    a, b = pair
    if question.get("a"):
        b = next(name for name in pair if name != given)
    elif question.get("b"):
        a = next(name for name in pair if name != given)
    return {**question, "a": question.get("a") or a, "b": question.get("b") or b}
