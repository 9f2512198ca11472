"""Published claims: a row each, with how it stands on this run."""

from __future__ import annotations

from collections.abc import Sequence

from harness.evidence.cells import estimate_cell, stages_behind
from harness.evidence.findings import Findings
from harness.evidence.standings import missing_arms, standing_of
from harness.evidence.view import ComparisonView
from harness.pipeline.claims import RISES, Claim
from harness.tables import Cell, Section, Table

COLUMNS = ("claim", "source", "seeds in source", "measured by", "needs", "claimed", "here", "verdict")


def section(findings: Findings) -> Section | None:
    """None without claims about arms of this comparison."""
    table = claims_table(findings.view, findings.claims)
    return None if table is None else Section("Published claims", (), (table,))


def claims_table(view: ComparisonView, claims: Sequence[Claim]) -> Table | None:
    """One row a claim; None where there are none. Claims about other arms are only counted."""
    elsewhere = [claim for claim in claims if claim.quantity is not None and missing_arms(view, claim)]
    rows = tuple(_row(view, claim) for claim in claims if claim not in elsewhere)
    if not rows:
        return None
    note = (
        "Supported: the 95% interval, or a counted value, lies within what is claimed; contradicted: it "
        "lies outside; anything else is not separable. One run speaks of its own model, data and device, "
        "and not of those that the claim was made on. Seeds in source: whether it says over how many "
        "trainings its figures are. None of these was registered as a question."
    )
    left_out = (
        f"{len(elsewhere)} claim(s) about arms that are not in this comparison are left out; `harness check` "
        "lists them."
    )
    return Table("claims", "Published claims", COLUMNS, rows, (note, left_out) if elsewhere else (note,))


def _row(view: ComparisonView, claim: Claim) -> tuple[Cell, ...]:
    one = standing_of(view, claim)
    arms = [arm for arm in (claim.a, claim.b) if arm in view.arms]
    return claim_row(
        claim,
        "the arms, scored or measured",
        estimate_cell(one.estimate, stages_behind(view, arms)),
        one.text,
    )


def claim_row(claim: Claim, needs: str, here: Cell, verdict: str) -> tuple[Cell, ...]:
    """A claim's cells under `COLUMNS`; `needs` is what it takes where the claim itself says nothing of it."""
    return (
        Cell(claim.statement + (f" ({claim.scope})" if claim.scope else "")),
        Cell(claim.source + (f". {claim.note}" if claim.note else "")),
        Cell(claim.seeds),
        Cell(_compared(claim)),
        Cell(claim.needs or needs),
        Cell(_wanted(claim)),
        here,
        Cell(verdict),
    )


def _compared(claim: Claim) -> str:
    """What is measured, of which arm or arms."""
    if claim.quantity is None:
        return "not one run"
    if claim.over_runs is not None:
        return f"spread of {claim.quantity} over runs, {claim.a} / {claim.b}"
    if claim.b is None:
        return f"{claim.quantity}, {claim.a}"
    subtracted = "." in claim.quantity or claim.quantity in RISES
    return f"{claim.quantity}, {claim.a} {'-' if subtracted else '/'} {claim.b}"


def _wanted(claim: Claim) -> str:
    """The claimed range in words."""
    if claim.over_runs is not None:
        return "less spread than equal spreads can give"
    if claim.expected is None:
        return "none"
    low, high = claim.expected
    if low is None:
        return "anything" if high is None else f"below {high:g}"
    if high is None:
        return f"above {low:g}"
    return f"{low:g}" if low == high else f"{low:g} to {high:g}"
