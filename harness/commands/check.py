"""`harness check`: published claims judged on a finished run."""

from __future__ import annotations

from pathlib import Path

from rich.table import Table

from harness.commands.view import open_run
from harness.errors import UserError
from harness.evidence.standings import Standing, standing_of
from harness.evidence.statistics.estimate import Estimate
from harness.pipeline.claims import load_claims
from harness.terminal import PlainConsole
from harness.units import NOT_MEASURED, significant


def run(run_name: str, claims: Path | None, *, out: Path) -> int:
    """Print every claim with its verdict; 1 where the run contradicts one."""
    if claims is not None and not claims.exists():
        raise UserError(
            "no such file or folder", where=str(claims), remedy="give a file of claims by --claims"
        )
    _, view = open_run(run_name, out)
    console = PlainConsole()
    table = Table(title=f"Claims on {view.record.id}", box=None, title_justify="left")
    for heading in ("claim", "scope and source", "seeds in source", "needs", "here", "verdict"):
        table.add_column(heading)
    standings = []
    for claim in load_claims(claims):
        one = standing_of(view, claim)
        about = f"{claim.scope}. {claim.source}" if claim.scope else claim.source
        table.add_row(claim.statement, about, claim.seeds, claim.needs or "", _here(one.estimate), one.text)
        standings.append(one.standing)
    console.print(table)
    counts = ", ".join(f"{standings.count(standing)} {standing}" for standing in Standing)
    console.print(counts, highlight=False)
    return 1 if Standing.CONTRADICTED in standings else 0


def _here(estimate: Estimate) -> str:
    if estimate.value is None:
        return NOT_MEASURED
    here = significant(estimate.value)
    if estimate.low is not None and estimate.high is not None:
        here += f" [{significant(estimate.low)}, {significant(estimate.high)}]"
    return here
