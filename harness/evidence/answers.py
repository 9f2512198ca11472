"""The questions that were written down before the run, each with one verdict in words."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from harness.evidence.cells import estimate_cell
from harness.evidence.contrasts import Evidence, cost_evidence, score_evidence
from harness.evidence.statistics.estimate import Estimate
from harness.evidence.statistics.margins import ONE_SIDED, SAME, MarginTests, against_margin, holm
from harness.evidence.view import ComparisonView
from harness.tables import Cell, Table

LEVEL = 0.05
COST = "cost."
COUNTED = ("cost.flops", "cost.peak_memory_bytes")
COUNTS = {"less": "better", "more": "worse", "equal": "identical"}


@dataclass(frozen=True)
class Answer:
    """A question's evidence, its tests, p values adjusted over all questions (Holm), and the verdict."""

    quantity: str
    a: str
    b: str
    margin: float | None
    estimate: Estimate
    tests: MarginTests
    p: float | None
    p_not_worse: float | None
    verdict: str
    sources: tuple[str, ...]


def answers(view: ComparisonView) -> list[Answer]:
    """One answer a question, in the comparison file's order."""
    asked: list[dict[str, Any]] = view.record.plan.spec.get("questions") or []
    found = [(q, _evidence(view, q["quantity"], q["a"], q["b"])) for q in asked]
    tests = [_tests(view, q, e) for q, e in found]
    tested = [q["quantity"] not in COUNTED for q, _ in found]
    ps = [e.estimate.p if isinstance(e, Evidence) else None for _, e in found]
    adjusted = iter(holm([p for p, t in zip(ps, tested, strict=True) if t]))
    margins = iter(holm([m.not_worse for m, t in zip(tests, tested, strict=True) if t]))
    made = []
    for (q, e), margin_tests, is_tested in zip(found, tests, tested, strict=True):
        p, p_not_worse = (next(adjusted), next(margins)) if is_tested else (None, None)
        estimate = e.estimate if isinstance(e, Evidence) else _absent(e)
        sources = e.sources if isinstance(e, Evidence) else ()
        if isinstance(e, Evidence) and q["quantity"] in COUNTED:
            verdict = COUNTS.get(e.verdict, e.verdict)
        else:
            verdict = _verdict(view, q, estimate, p, p_not_worse, margin_tests)
        made.append(
            Answer(
                q["quantity"],
                q["a"],
                q["b"],
                q["margin"],
                estimate,
                margin_tests,
                p,
                p_not_worse,
                verdict,
                sources,
            )
        )
    return made


def _evidence(view: ComparisonView, quantity: str, a: str, b: str) -> Evidence | str:
    """The evidence on a against b, or why there is none."""
    missing = [arm for arm in (a, b) if arm not in (*view.arms, "base")]
    if missing:
        return f"{', '.join(missing)} is not in this comparison"
    if quantity.startswith(COST):
        return cost_evidence(view, quantity.removeprefix(COST), a, b)
    if view.random_weights:
        return "training began from random weights"
    one = score_evidence(view, quantity, a, b)
    if one is not None:
        return one
    other = score_evidence(view, quantity, b, a)
    return _turned(other) if other is not None else f"{quantity} was not scored for both"


def _turned(one: Evidence) -> Evidence:
    """The same difference seen from the other arm."""
    value = one.estimate
    flipped = replace(
        value,
        value=None if value.value is None else -value.value,
        low=None if value.high is None else -value.high,
        high=None if value.low is None else -value.low,
    )
    return replace(one, a=one.b, b=one.a, estimate=flipped)


def _tests(view: ComparisonView, question: dict[str, Any], found: Evidence | str) -> MarginTests:
    """Tests against the margin; a cost's margin is a share, tested on logs."""
    margin, quantity = question["margin"], question["quantity"]
    if margin is None or isinstance(found, str) or quantity in COUNTED:
        return MarginTests(None, None)
    if not quantity.startswith(COST):
        higher = view.higher_is_better(quantity)
        if higher is None:
            return MarginTests(None, None)
        return against_margin(found.estimate, margin, higher_is_better=higher)
    value = found.estimate.value
    logs = replace(found.estimate, value=math.log(value) if value else None)
    return against_margin(logs, math.log1p(margin), higher_is_better=False)


def _verdict(
    view: ComparisonView,
    question: dict[str, Any],
    estimate: Estimate,
    p: float | None,
    p_not_worse: float | None,
    tests: MarginTests,
) -> str:
    quantity, margin = question["quantity"], question["margin"]
    if estimate.value is None:
        return f"not measured: {estimate.reason}"
    is_cost = quantity.startswith(COST)
    if estimate.identical:
        return "identical"
    within = p_not_worse is not None and p_not_worse < ONE_SIDED
    said = f"the margin of {_in_words(margin, is_cost)}" if margin is not None else ""
    if p is not None and p < LEVEL:
        word = _direction(view, quantity, estimate.value, is_cost)
        return f"{word}, by less than {said}" if word == "worse" and within else word
    if within:
        same = tests.same is not None and tests.same < SAME
        return f"not worse within {said}" + (", and the same within it" if same else "")
    smallest = ""
    if estimate.detectable is not None:
        smallest = f" (smallest detectable {_in_words(_effect(estimate.detectable, is_cost), is_cost)})"
    why = f": {estimate.reason}" if estimate.reason else ""
    return f"not separable at n = {estimate.n}{smallest}{why}"


def _direction(view: ComparisonView, quantity: str, value: float, is_cost: bool) -> str:
    if is_cost:
        return "better" if value < 1 else "worse"
    higher = view.higher_is_better(quantity)
    if higher is None:
        return "higher" if value > 0 else "lower"
    return "better" if (value > 0) == higher else "worse"


def _effect(detectable: float, is_cost: bool) -> float:
    """A ratio's smallest detectable factor as a share beyond equal."""
    return detectable - 1 if is_cost else detectable


def _in_words(amount: float, is_cost: bool) -> str:
    return f"{amount:.1%}" if is_cost else f"{amount:.3g}"


def _absent(reason: str) -> Estimate:
    return Estimate(None, None, None, 0, None, "", reason=reason)


def sentences(found: Sequence[Answer]) -> tuple[str, ...]:
    """One sentence a question: the verdict and what it rests on."""
    told = []
    for one in found:
        value = one.estimate
        numbers = ""
        if value.value is not None:
            is_cost = one.quantity.startswith(COST)
            numbers = f" ({'ratio' if is_cost else 'difference'} {value.value:.3g}"
            if value.low is not None and value.high is not None:
                numbers += f", 95% interval {value.low:.3g} to {value.high:.3g}"
            numbers += f", n = {value.n})"
        told.append(f"{one.quantity}, {one.a} against {one.b}: {one.verdict}{numbers}.")
    return tuple(told)


def questions_table(view: ComparisonView, found: Sequence[Answer]) -> Table | None:
    """One row a question; None where none was registered."""
    if not found:
        return None
    rows = []
    for one in found:
        rows.append(
            (
                Cell(one.quantity),
                Cell(one.a),
                Cell(one.b),
                estimate_cell(one.estimate, one.sources),
                Cell(one.margin, "number", digits=3, reason="no margin was set"),
                Cell(one.p, "number", digits=4, reason="no test", sources=one.sources),
                Cell(one.p_not_worse, "number", digits=4, reason="no test", sources=one.sources),
                Cell(one.verdict),
            )
        )
    note = (
        "Registered in the comparison file. Scores: difference a - b; costs: ratio a / b, lower is better. "
        "p: two-sided, of no difference; not worse: one-sided at 2.5%, of being worse by the margin or more; "
        f"both adjusted by Holm over the questions that are tested, of {len(found)}. The same within the "
        "margin: two one-sided tests at 5%. Counted costs are values and not tested."
    )
    columns = ("quantity", "a", "b", "a against b", "margin", "p", "p of not worse", "verdict on a")
    return Table(
        "questions", "Questions asked before the run", columns, tuple(rows), (note, *registered(view))
    )


def registered(view: ComparisonView) -> tuple[str, ...]:
    """What speaks against the questions having been asked first: results that were there already."""
    record = view.record
    digests = {cell.evaluate for cell in record.plan.cells} | {record.plan.judge}
    uses = [record.uses[digest] for digest in digests if digest in record.uses]
    earlier = [use.reused_from for use in uses if use.reused_from]
    if not earlier or view.replayed:
        return ()
    runs = ", ".join(sorted(set(earlier)))
    return (
        f"NOT registered first: {len(earlier)} scoring stage(s) of these arms come from {runs}, which had "
        "finished before this comparison was run, so these verdicts are exploratory.",
    )
