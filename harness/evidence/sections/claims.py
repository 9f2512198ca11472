"""Published claims judged on a run: supported, contradicted, not separable or not measured."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from harness.evidence.cells import estimate_cell
from harness.evidence.contrasts import HOST_MEMORY, score_evidence
from harness.evidence.costs import TIMED, arm_cost, cost_ratio, memory_kind
from harness.evidence.scores import arm_score
from harness.evidence.statistics.estimate import ITEMS_TARGET, LEVEL, RUNS_TARGET, Estimate, mean_interval
from harness.evidence.view import ComparisonView
from harness.pipeline.claims import COUNTED, RISES, SETTINGS, Claim
from harness.pipeline.spec import COSTS
from harness.records import ReferenceHolder, StageResult, TrainFacts
from harness.tables import Cell, Table

EXACT = 1e-9
PROBES = {
    "logp_chosen_rise": "probe_logp_chosen",
    "logp_rejected_rise": "probe_logp_rejected",
    "log_odds_margin_late_rise": "probe_log_odds_margin",
}


def claims_table(view: ComparisonView, claims: Sequence[Claim]) -> Table | None:
    """One row a claim; None where there are none. Claims about other arms are only counted."""
    rows = []
    elsewhere = [claim for claim in claims if claim.quantity is not None and _absent(view, claim)]
    for claim in claims:
        if claim in elsewhere:
            continue
        estimate, said = judged(view, claim)
        sources = tuple(d for arm in (claim.a, claim.b) if arm in view.arms for d in _stages(view, arm))
        found = estimate_cell(estimate, sources)
        words = claim.statement + (f" ({claim.scope})" if claim.scope else "")
        source = claim.source + (f". {claim.note}" if claim.note else "")
        rows.append(
            (Cell(words), Cell(source), Cell(_compared(claim)), Cell(_wanted(claim)), found, Cell(said))
        )
    if not rows:
        return None
    columns = ("claim", "source", "measured by", "claimed", "here", "verdict")
    note = (
        "Supported: the 95% interval, or a counted value, lies within what is claimed; contradicted: it "
        "lies outside; anything else is not separable. One run speaks of its own model, data and device, "
        "and not of those that the claim was made on. None of these was registered as a question."
    )
    left_out = (
        f"{len(elsewhere)} claim(s) about arms that are not in this comparison are left out; `harness check` "
        "lists them."
    )
    notes = (note, left_out) if elsewhere else (note,)
    return Table("claims", "Published claims", columns, tuple(rows), notes)


def _absent(view: ComparisonView, claim: Claim) -> list[str]:
    """Arms of a claim that the run does not have."""
    return [arm for arm in (claim.a, claim.b) if arm is not None and arm not in (*view.arms, "base")]


def _compared(claim: Claim) -> str:
    if claim.quantity is None:
        return "not one run"
    if claim.b is None:
        return f"{claim.quantity}, {claim.a}"
    subtracted = "." in claim.quantity or claim.quantity in RISES
    return f"{claim.quantity}, {claim.a} {'-' if subtracted else '/'} {claim.b}"


def _wanted(claim: Claim) -> str:
    if claim.expected is None:
        return "none"
    low, high = claim.expected
    if low is None:
        return "anything" if high is None else f"below {high:g}"
    if high is None:
        return f"above {low:g}"
    return f"{low:g}" if low == high else f"{low:g} to {high:g}"


def judged(view: ComparisonView, claim: Claim) -> tuple[Estimate, str]:
    """The claim's quantity with its interval, and the verdict."""
    if claim.quantity is None:
        return _nothing(claim.needs or ""), f"not measured: {claim.needs}"
    absent = _absent(view, claim)
    if absent:
        return _nothing(f"{', '.join(absent)} is not in this comparison"), "not measured"
    if view.replayed and "." not in claim.quantity:
        return _nothing("published outputs were scored, nothing was trained"), "not measured"
    if claim.quantity in COSTS:
        estimate = _cost_ratio(view, claim)
    elif claim.quantity in RISES:
        estimate = _rise(view, claim)
    elif claim.quantity in (*COUNTED, *SETTINGS):
        estimate = _counted(view, claim)
    else:
        estimate = _score(view, claim)
    return estimate, _verdict(estimate, claim)


def _verdict(estimate: Estimate, claim: Claim) -> str:
    if estimate.value is None:
        return "not measured"
    assert claim.expected is not None
    lowest, highest = (
        end if end is not None else sign * float("inf")
        for end, sign in zip(claim.expected, (-1, 1), strict=True)
    )
    low = estimate.value if estimate.low is None else estimate.low
    high = estimate.value if estimate.high is None else estimate.high
    counted = claim.quantity in (*COUNTED, *SETTINGS, *(c for c in COSTS if c not in TIMED))
    directed = 0.0 in claim.expected and estimate.p is not None and estimate.p < LEVEL
    if estimate.low is None and not (counted or estimate.identical or directed):
        return f"not separable: {estimate.reason or 'no interval'}"
    if lowest - EXACT <= low and high <= highest + EXACT:
        return "supported"
    if high < lowest - EXACT or low > highest + EXACT:
        return "contradicted"
    return "not separable"


def _score(view: ComparisonView, claim: Claim) -> Estimate:
    """The difference a - b of a score, or the score of `a` alone."""
    metric = str(claim.quantity)
    if view.random_weights:
        return _nothing("training began from random weights")
    if metric not in view.metrics():
        return _nothing(f"{metric} was not scored")
    if claim.b is None:
        return arm_score(view, claim.a, metric)
    one = score_evidence(view, metric, claim.a, claim.b)
    return one.estimate if one is not None else _nothing(f"{metric} was not scored for both")


def _rise(view: ComparisonView, claim: Claim) -> Estimate:
    """How far a held-out probe rose over an arm's training, less that of `b`; late: over its second half."""
    ours = _rises(view, claim.a, str(claim.quantity))
    theirs = _rises(view, claim.b, str(claim.quantity)) if claim.b is not None else [0.0] * len(ours)
    if not ours or len(ours) != len(theirs):
        return _nothing("no held-out probes during training")
    return mean_interval([a - b for a, b in zip(ours, theirs, strict=True)], ITEMS_TARGET)


def _rises(view: ComparisonView, arm: str, quantity: str) -> list[float]:
    """One value a seed: last probe less first, or less the one in the middle."""
    found = []
    for cell in view.cells_of(arm):
        values = [
            row["metrics"][PROBES[quantity]]
            for digest in cell.stages
            for row in view.series.get(digest, [])
            if PROBES[quantity] in row["metrics"]
        ]
        if len(values) > 2:
            start = values[len(values) // 2] if quantity.endswith("late_rise") else values[0]
            found.append(values[-1] - start)
    return found


def _cost_ratio(view: ComparisonView, claim: Claim) -> Estimate:
    quantity = str(claim.quantity)
    if quantity == "peak_memory_bytes" and memory_kind(view) == "host_rss":
        return _nothing(HOST_MEMORY)
    if claim.b is not None:
        return cost_ratio(view, claim.a, claim.b, quantity)
    own = arm_cost(view, claim.a, quantity)
    return Estimate(own.value, None, None, len(own.per_block), None, RUNS_TARGET, reason=own.reason)


def _counted(view: ComparisonView, claim: Claim) -> Estimate:
    """What the last stage of an arm counted, at the first seed, or what its file sets."""
    count = _set if claim.quantity in SETTINGS else _last
    figures = [count(view, arm, str(claim.quantity)) for arm in (claim.a, claim.b) if arm is not None]
    if None in figures:
        return _nothing("the stages did not record it")
    top, *bottom = [figure for figure in figures if figure is not None]
    if bottom and not bottom[0]:
        return _nothing(f"it is zero in {claim.b}")
    return Estimate(top / bottom[0] if bottom else top, None, None, 1, None, RUNS_TARGET)


def _last(view: ComparisonView, arm: str, quantity: str) -> float | None:
    stage: StageResult = view.stages_of(view.cells_of(arm)[0])[-1]
    facts = stage.facts_as(TrainFacts)
    counts = facts.sequences
    if quantity == "models_in_memory":
        return 2.0 if facts.reference and facts.reference.holder == ReferenceHolder.COPY else 1.0
    if counts is None:
        return None
    if quantity == "sequences_forwarded_per_pair":
        return counts.forwarded_per_pair
    if counts.with_gradient_per_pair is None or counts.once_per_pair is None:
        return None
    return counts.forwarded_per_pair - counts.with_gradient_per_pair + counts.once_per_pair


def _set(view: ComparisonView, arm: str, quantity: str) -> float | None:
    """How many settings the file gives an arm's stages of their own, or how many data sets it needs."""
    spec = view.record.plan.spec
    if quantity == "data_sets":
        own = view.prepared.sft_data
        return 2.0 if own.get(arm) else 1.0
    entry: dict[str, Any] = next((a for a in spec["arms"] if a["name"] == arm), {})
    names = [stage.get("name") or stage["method"] for stage in entry.get("stages") or []]
    settings = [set((spec.get("stages") or {}).get(name, {})) for name in names]
    return float(sum(map(len, settings))) if any(settings) else None


def _stages(view: ComparisonView, arm: str | None) -> list[str]:
    return [d for cell in view.cells_of(arm or "") for d in cell.stages]


def _nothing(reason: str) -> Estimate:
    return Estimate(None, None, None, 0, None, RUNS_TARGET, reason=reason)
