"""`harness plan --power`: what the planned seeds can find, before anything runs."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console
from rich.table import Table

from harness.commands.view import open_run
from harness.errors import UserError
from harness.evidence.power import Power, plan_power
from harness.evidence.view import ComparisonView
from harness.pipeline.load import find_comparison, load_comparison
from harness.pipeline.overrides import Overrides
from harness.quantities import cost_of


def run(comparison: str | None, overrides: Overrides, *, out: Path, like: str) -> int:
    """Print, for every registered question, the smallest effect and the seeds that its margin needs."""
    console = Console()
    path = find_comparison(comparison, model=overrides.model)
    spec = load_comparison(path, overrides)
    if not spec.questions:
        raise UserError(
            "asks no questions",
            where=str(path),
            remedy="write `questions:` into it; docs/evidence.md says how",
        )
    earlier = _earlier(out, like)
    powers = plan_power(spec.questions, len(spec.seeds), earlier)
    console.print(_table(powers, len(spec.seeds)))
    console.print(_source(earlier), highlight=False)
    return 0


def _earlier(out: Path, like: str) -> ComparisonView | None:
    """The run to learn the spread from; none is no mistake unless it was named."""
    try:
        return open_run(like, out)[1]
    except UserError:
        if like != "latest":
            raise
        return None


def _table(powers: list[Power], seeds: int) -> Table:
    table = Table(title=f"What {seeds} seed(s) can find", box=None, title_justify="left")
    for heading in (
        "question",
        "spread",
        "found by seeds",
        "found by items at one seed",
        "margin",
        "power: not worse",
        "seeds needed",
    ):
        table.add_column(heading)
    for one in powers:
        is_cost = cost_of(one.quantity) is not None
        unit = " of the cost" if is_cost and one.sd is not None else ""
        effect = "one seed tests nothing"
        if one.effect is not None:
            effect = f"{one.effect:.3g}{unit}" if one.sd is not None else f"{one.effect:.2f} spreads"
        table.add_row(
            f"{one.quantity}, {one.a} against {one.b}",
            "not known" if one.sd is None else f"{one.sd:.3g}",
            effect,
            "" if one.items_effect is None else f"{one.items_effect:.3g} ({one.items:,} items)",
            "" if one.margin is None else f"{one.margin:g}",
            "" if one.not_worse is None else f"{one.not_worse:.0%}",
            "" if one.seeds_needed is None else str(one.seeds_needed),
        )
    return table


def _source(earlier: ComparisonView | None) -> str:
    what = (
        "Effects: two-sided 5%, 80% power, paired by seed. Seeds needed: 80% power to show a true difference "
    )
    what += "of zero to be within the margin. Holm's adjustment over several questions asks for more."
    if earlier is None:
        return f"{what} No earlier run tells the spread; effects are in units of it (--like RUN)."
    n = len(earlier.seeds)
    return f"{what} Spread: standard deviation of seed-level differences in {earlier.record.id} ({n} seeds)."
