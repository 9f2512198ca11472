"""The questions that were written down before the run, each with one verdict."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from harness.evidence.aggregates import aggregate_contrast
from harness.evidence.amounts import EQUAL_COST, amount, detectable_effect, unit_of
from harness.evidence.contrasts import Contrast, cost_contrast, directions, score_contrast
from harness.evidence.statistics.estimate import Estimate
from harness.evidence.statistics.family import Statements, adjusted
from harness.evidence.statistics.intervals import LEVEL
from harness.evidence.statistics.looks import at_look
from harness.evidence.statistics.margins import ONE_SIDED, SAME, MarginTests, against_margin
from harness.evidence.statistics.verdict import Outcome, Verdict
from harness.evidence.view import BASE, ComparisonView
from harness.pipeline.questions_spec import QuestionSpec
from harness.quantities import AGGREGATE, cost_of

COUNTED = {
    Outcome.LESS: Verdict.plain(Outcome.BETTER),
    Outcome.MORE: Verdict.plain(Outcome.WORSE),
    Outcome.EQUAL: EQUAL_COST,
}
"""A counted cost's outcome as the answer to a question."""
UNTESTED = Statements(None)


@dataclass(frozen=True)
class Answer:
    """A question's evidence, its tests, the adjusted p values of its statements, and the verdict.

    `p`, `p_not_worse` and `p_same` are adjusted over the `family` questions that are tested together
    (`statistics.family`), and over the `looks` that the run is one of (`statistics.looks`).
    """

    quantity: str
    a: str
    b: str
    margin: float | None
    estimate: Estimate
    tests: MarginTests
    p: float | None
    p_not_worse: float | None
    verdict: Verdict
    sources: tuple[str, ...]
    p_same: float | None = None
    family: int = 1
    looks: int = 1

    @property
    def is_cost(self) -> bool:
        """Whether a cost was asked about, and not a score."""
        return cost_of(self.quantity) is not None


def answers(view: ComparisonView) -> list[Answer]:
    """One answer a question, in the comparison file's order."""
    contrasts = [(question, _contrast(view, question)) for question in view.questions]
    tests = [_tests(view, question, one) for question, one in contrasts]
    tested = [i for i, (question, _) in enumerate(contrasts) if not _is_counted(question)]
    weight = view.look.weight if view.look is not None else 1.0
    family = adjusted([at_look(_statements(contrasts[i][1], tests[i]), weight) for i in tested])
    statements = dict(zip(tested, family, strict=True))
    return [
        _answer(view, question, one, test, statements.get(i, UNTESTED), len(tested))
        for i, ((question, one), test) in enumerate(zip(contrasts, tests, strict=True))
    ]


def _statements(one: Contrast | str, tests: MarginTests) -> Statements:
    """The unadjusted p values of one question."""
    p = one.estimate.p if isinstance(one, Contrast) else None
    return Statements(p, tests.not_worse, tests.not_better)


def _is_counted(question: QuestionSpec) -> bool:
    """Whether the quantity is a counted cost: a value, which no test is about."""
    cost = cost_of(question.quantity)
    return cost is not None and not cost.timed


def _answer(
    view: ComparisonView,
    question: QuestionSpec,
    one: Contrast | str,
    tests: MarginTests,
    statements: Statements,
    family: int,
) -> Answer:
    estimate = one.estimate if isinstance(one, Contrast) else Estimate.absent(one)
    if isinstance(one, Contrast) and _is_counted(question):
        conclusion = COUNTED.get(one.verdict.outcome, one.verdict)
    else:
        reach = one.reach if isinstance(one, Contrast) else math.inf
        smallest = detectable_effect(unit_of(question.quantity), estimate.detectable, reach)
        conclusion = _verdict(view, question, estimate, statements, smallest)
    return Answer(
        question.quantity,
        question.a,
        question.b,
        question.margin,
        estimate,
        tests,
        statements.difference,
        statements.not_worse,
        conclusion,
        one.sources if isinstance(one, Contrast) else (),
        _same(statements),
        family,
        1 if view.look is None else len(view.look.weights),
    )


def _same(statements: Statements) -> float | None:
    """Both one-sided tests at 5%, where being not worse at 2.5% is part of being the same."""
    if statements.not_worse is None or statements.not_better is None:
        return None
    return max(2 * statements.not_worse, statements.not_better)


def not_compared(arms: Sequence[str]) -> str:
    """Why nothing is said of arms that the comparison lacks."""
    return f"{' and '.join(arms)} {'is' if len(arms) == 1 else 'are'} not in this comparison"


def _contrast(view: ComparisonView, question: QuestionSpec) -> Contrast | str:
    """What a question is answered from, or why there is nothing."""
    quantity, a, b = question.quantity, question.a, question.b
    missing = [arm for arm in (a, b) if arm not in (*view.arms, BASE)]
    if missing:
        return not_compared(missing)
    cost = cost_of(quantity)
    if cost is not None:
        return cost_contrast(view, cost, a, b)
    if view.random_weights:
        return "training began from random weights"
    if quantity.startswith(AGGREGATE):
        name = quantity.removeprefix(AGGREGATE)
        return aggregate_contrast(view, name, view.aggregates[name], a, b)
    one = score_contrast(view, quantity, a, b)
    if one is not None:
        return one
    other = score_contrast(view, quantity, b, a)
    return other.turned() if other is not None else f"{quantity} was not scored for both"


def _tests(view: ComparisonView, question: QuestionSpec, one: Contrast | str) -> MarginTests:
    """Tests against the margin; a cost's margin is a share, tested on logs."""
    margin = question.margin
    if margin is None or isinstance(one, str) or _is_counted(question):
        return MarginTests(None, None)
    if cost_of(question.quantity) is None:
        higher = view.higher_is_better(question.quantity)
        if higher is None:
            return MarginTests(None, None)
        return against_margin(one.estimate, margin, higher_is_better=higher)
    value = one.estimate.value
    logs = replace(one.estimate, value=math.log(value) if value else None)
    return against_margin(logs, math.log1p(margin), higher_is_better=False)


def _verdict(
    view: ComparisonView,
    question: QuestionSpec,
    estimate: Estimate,
    statements: Statements,
    smallest: str | None,
) -> Verdict:
    if estimate.value is None:
        return Verdict(Outcome.NOT_MEASURED, f"not measured: {estimate.reason}")
    unit = unit_of(question.quantity)
    if estimate.identical:
        return EQUAL_COST if unit == "percent" else Verdict.plain(Outcome.IDENTICAL)
    p, p_not_worse, p_same = statements.difference, statements.not_worse, _same(statements)
    within = p_not_worse is not None and p_not_worse < ONE_SIDED
    margin = "" if question.margin is None else f"the margin of {amount(unit, question.margin)}"
    if p is not None and p < LEVEL:
        outcome = _direction(view, question.quantity, estimate.value)
        if outcome == Outcome.WORSE and within:
            return Verdict(outcome, f"worse, by less than {margin}")
        return Verdict.plain(outcome)
    if within:
        same = p_same is not None and p_same < SAME
        text = f"not worse within {margin}" + (", and the same within it" if same else "")
        return Verdict(Outcome.NOT_WORSE, text)
    return Verdict(Outcome.NOT_SEPARABLE, _not_separable(estimate, smallest))


def _not_separable(estimate: Estimate, smallest: str | None) -> str:
    told = f" ({smallest})" if smallest else ""
    why = f": {estimate.reason}" if estimate.reason else ""
    return f"not separable at n = {estimate.n}{told}{why}"


def _direction(view: ComparisonView, quantity: str, value: float) -> Outcome:
    if cost_of(quantity) is not None:
        return Outcome.BETTER if value < 1 else Outcome.WORSE
    above, below = directions(view, quantity)
    return above if value > 0 else below


def scored_before(view: ComparisonView) -> tuple[int, list[str]]:
    """How many scoring stages had finished in earlier runs before this one was planned, and which runs.

    Questions about such scores were not registered first. Earlier looks of this run's own sequence asked
    the same questions and do not count.
    """
    record = view.record
    digests = {cell.evaluate for cell in record.plan.cells} | {record.plan.judge}
    uses = [record.uses[digest] for digest in digests if digest in record.uses]
    looks = view.look.earlier if view.look is not None else []
    earlier = [use.reused_from for use in uses if use.reused_from and use.reused_from not in looks]
    return (0, []) if view.replayed else (len(earlier), sorted(set(earlier)))
