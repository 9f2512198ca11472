"""Published claims judged on a run: supported, contradicted, not separable or not measured."""

from __future__ import annotations

from collections.abc import Sequence

from harness.evidence.costs import QUANTITIES, TIMED, arm_cost, cost_ratio, memory_kind
from harness.evidence.estimate import RUNS_TARGET, Estimate
from harness.evidence.pairs import HOST_MEMORY
from harness.evidence.view import ComparisonView
from harness.pipeline.claims import Claim
from harness.records import StageResult
from harness.tables import Cell, Table

EXACT = 1e-9


def claims_table(view: ComparisonView, claims: Sequence[Claim]) -> Table | None:
    """One row a claim; None where there are none."""
    rows = []
    for claim in claims:
        estimate, said = judged(view, claim)
        low, high = claim.expected
        wanted = f"{low:g}" if low == high else f"{low:g} to {high:g}"
        compared = claim.a if claim.b is None else f"{claim.a} / {claim.b}"
        sources = tuple(d for arm in (claim.a, claim.b) if arm in view.arms for d in _stages(view, arm))
        found = Cell(
            estimate.value, "number", estimate.low, estimate.high, 3, reason=estimate.reason, sources=sources
        )
        text = (Cell(claim.statement), Cell(claim.source), Cell(f"{claim.quantity}, {compared}"))
        rows.append((*text, Cell(wanted), found, Cell(said)))
    if not rows:
        return None
    columns = ("claim", "source", "measured by", "claimed", "here", "verdict")
    note = (
        "Supported: the 95% interval, or a counted value, lies within what is claimed; contradicted: it "
        "lies outside; anything else is not separable. One run speaks of its own model, data and device."
    )
    return Table("claims", "Published claims on cost", columns, tuple(rows), (note,))


def judged(view: ComparisonView, claim: Claim) -> tuple[Estimate, str]:
    """The claim's quantity with its interval, and the verdict."""
    absent = [arm for arm in (claim.a, claim.b) if arm is not None and arm not in view.arms]
    if absent:
        return _nothing(f"{', '.join(absent)} is not in this comparison"), "not measured"
    estimate = _cost_ratio(view, claim) if claim.quantity in QUANTITIES else _counted(view, claim)
    return estimate, _verdict(estimate, claim)


def _verdict(estimate: Estimate, claim: Claim) -> str:
    if estimate.value is None:
        return "not measured"
    lowest, highest = claim.expected
    low = estimate.value if estimate.low is None else estimate.low
    high = estimate.value if estimate.high is None else estimate.high
    if estimate.low is None and claim.quantity in TIMED:
        return f"not separable: {estimate.reason}"
    if lowest - EXACT <= low and high <= highest + EXACT:
        return "supported"
    if high < lowest - EXACT or low > highest + EXACT:
        return "contradicted"
    return "not separable"


def _cost_ratio(view: ComparisonView, claim: Claim) -> Estimate:
    if claim.quantity == "peak_memory_bytes" and memory_kind(view) == "host_rss":
        return _nothing(HOST_MEMORY)
    if claim.b is not None:
        return cost_ratio(view, claim.a, claim.b, claim.quantity)
    own = arm_cost(view, claim.a, claim.quantity)
    return Estimate(own.value, None, None, len(own.per_block), None, RUNS_TARGET, reason=own.reason)


def _counted(view: ComparisonView, claim: Claim) -> Estimate:
    """What the last stage of an arm counted, at the first seed."""
    figures = [_last(view, arm, claim.quantity) for arm in (claim.a, claim.b) if arm is not None]
    if None in figures:
        return _nothing("the stages did not record it")
    top, *bottom = [figure for figure in figures if figure is not None]
    if bottom and not bottom[0]:
        return _nothing(f"it is zero in {claim.b}")
    return Estimate(top / bottom[0] if bottom else top, None, None, 1, None, RUNS_TARGET)


def _last(view: ComparisonView, arm: str, quantity: str) -> float | None:
    stage: StageResult = view.stages_of(view.cells_of(arm)[0])[-1]
    counts = stage.facts.get("sequences")
    if quantity == "models_in_memory":
        reference = stage.facts.get("reference", "unknown")
        return None if reference == "unknown" else 2.0 if reference == "in_loop: a frozen copy" else 1.0
    if not counts:
        return None
    if quantity == "sequences_forwarded_per_pair":
        return float(counts["forwarded_per_pair"])
    extra = counts["forwarded_per_pair"] - counts["with_gradient_per_pair"]
    return float(extra + counts["once_per_pair"])


def _stages(view: ComparisonView, arm: str | None) -> list[str]:
    return [d for cell in view.cells_of(arm or "") for d in cell.stages]


def _nothing(reason: str) -> Estimate:
    return Estimate(None, None, None, 0, None, RUNS_TARGET, reason=reason)
