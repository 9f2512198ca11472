"""Published claims that no single run can judge, and how they stand on several."""

from __future__ import annotations

from collections.abc import Sequence

from harness.evidence.cells import estimate_cell
from harness.evidence.run_effects import stability_of
from harness.evidence.sections.claims import COLUMNS, claim_row
from harness.evidence.standings import Standing
from harness.evidence.statistics.stability import Stability
from harness.evidence.view import ComparisonView
from harness.pipeline.claims import Claim
from harness.tables import Cell, Table

TITLE = "Published claims about several runs"
NOTE = (
    "Supported: the gain of a over the baseline varies less between models and data sets than that of b, "
    "beyond what equal true spreads can give; contradicted: more; anything else is not separable. None of "
    "these was registered as a question."
)
STANDINGS = {
    True: Standing.SUPPORTED,
    False: Standing.CONTRADICTED,
    None: Standing.NOT_SEPARABLE,
}


def claims_over_runs(views: Sequence[ComparisonView], claims: Sequence[Claim]) -> Table | None:
    """One row a claim about the spread between runs; None where there is none, or no run has its arms."""
    rows = tuple(
        _row(claim, stability_of(views, claim.quantity, claim.a, claim.b))
        for claim in claims
        if claim.over_runs is not None and claim.quantity is not None and claim.b is not None
        if any({claim.a, claim.b} <= {*view.arms} for view in views)
    )
    return Table("runs_claims", TITLE, COLUMNS, rows, (NOTE,)) if rows else None


def _row(claim: Claim, found: Stability) -> tuple[Cell, ...]:
    text = STANDINGS[found.more_stable].value
    if found.ratio.value is None:
        text = f"{Standing.NOT_MEASURED.value}: {found.ratio.reason}"
    return claim_row(claim, "several runs with both arms, scored", estimate_cell(found.ratio, ()), text)
