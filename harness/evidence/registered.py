"""What was registered has the word: a contrast that a question is about shows the adjusted answer too."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from harness.evidence.answers import Answer
from harness.evidence.contrasts import Contrast
from harness.evidence.statistics.verdict import OPPOSITE, Outcome, Verdict
from harness.quantities import cost_of

SEPARABLE = frozenset({Outcome.BETTER, Outcome.WORSE, Outcome.HIGHER, Outcome.LOWER})
"""What may be set in bold, and nothing else."""


def is_best(arm: str, rivals: Sequence[str], quantity: str, contrasts: Sequence[Contrast]) -> bool:
    """Whether an arm is separably better than every other one on a quantity; alone it is not."""
    outcomes = {(one.a, one.b): one.verdict.outcome for one in contrasts if one.quantity == quantity}
    wins = [
        outcomes.get((arm, other)) == Outcome.BETTER or outcomes.get((other, arm)) == Outcome.WORSE
        for other in rivals
        if other != arm
    ]
    return bool(wins) and all(wins)


def is_counted(quantity: str) -> bool:
    """Whether it is a counted cost: a value, which no test is about."""
    cost = cost_of(quantity)
    return cost is not None and not cost.timed


def family_size(answers: Sequence[Answer]) -> int:
    """How many registered questions share one error rate."""
    return max((one.family for one in answers), default=0)


def reconciled(one: Contrast, answers: Sequence[Answer]) -> Contrast:
    """The contrast with the verdict that may stand in a table: where the registered, adjusted answer is
    another one, both are told and the outcome is the answer's."""
    about = [answer for answer in answers if _is_about(answer, one)]
    other = [answer for answer in about if _outcome_for(one, answer) != one.verdict.outcome]
    if one.verdict.outcome not in SEPARABLE or not other:
        return one
    answer = other[0]
    side = "" if (answer.a, answer.b) == (one.a, one.b) else f" of {answer.a} against {answer.b}"
    adjusted = f"adjusted over {family_in_words(answers)}{side}: {answer.verdict.text}"
    text = f"{one.verdict.text}, unadjusted; {adjusted}"
    return replace(one, verdict=Verdict(_outcome_for(one, answer), text))


def _is_about(answer: Answer, one: Contrast) -> bool:
    return answer.quantity == one.quantity and {answer.a, answer.b} == {one.a, one.b}


def _outcome_for(one: Contrast, answer: Answer) -> Outcome:
    """The answer's outcome as said of the contrast's first arm."""
    outcome = answer.verdict.outcome
    if (answer.a, answer.b) == (one.a, one.b):
        return outcome
    # That a is not worse than b leaves open what b is.
    return Outcome.NOT_SEPARABLE if outcome == Outcome.NOT_WORSE else OPPOSITE.get(outcome, outcome)


def questions_in_words(answers: Sequence[Answer]) -> str:
    """`4 questions`, those that are tested together."""
    count = family_size(answers)
    return f"{count} question{'s' if count != 1 else ''}"


def family_in_words(answers: Sequence[Answer]) -> str:
    """`4 questions and 3 looks`: all that shares one error rate."""
    looks = max((one.looks for one in answers), default=1)
    return questions_in_words(answers) + (f" and {looks} looks" if looks > 1 else "")
