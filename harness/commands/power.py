"""`harness plan --power`: what the planned seeds can find, before anything runs."""

from __future__ import annotations

from pathlib import Path

from rich.table import Table

from harness.commands.view import open_run
from harness.errors import UserError
from harness.evidence.power import MOST_SEEDS, Power, SeedsNeeded, plan_power
from harness.evidence.view import ComparisonView
from harness.pipeline.load import find_comparison, load_comparison
from harness.pipeline.overrides import Overrides
from harness.quantities import cost_of
from harness.terminal import PlainConsole
from harness.units import rounded, significant


def run(comparison: str | None, overrides: Overrides, *, out: Path, like: str) -> int:
    """Print, for every registered question, the smallest effect and the seeds that its margin needs."""
    console = PlainConsole()
    path = find_comparison(comparison, model=overrides.model)
    spec = load_comparison(path, overrides)
    if not spec.questions:
        raise UserError(
            "asks no questions",
            where=str(path),
            remedy="write `questions:` into it; docs/evidence.md says how",
        )
    earlier = _earlier(out, like)
    powers = plan_power(spec.questions, len(spec.seeds), earlier, spec.aggregates)
    console.print(power_table(powers, len(spec.seeds)))
    console.print(_source(earlier), highlight=False)
    return 0


def _earlier(out: Path, like: str) -> ComparisonView | None:
    """The run to learn the spread from; none is no mistake unless it was named."""
    if like == "latest" and not (out / like / "record.json").is_file():
        return None
    return open_run(like, out)[1]


def power_table(powers: list[Power], seeds: int) -> Table:
    """One row a question."""
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
        table.add_row(
            f"{one.quantity}, {one.a} against {one.b}",
            "not known" if one.spread is None else significant(one.spread.sd),
            _effect(one),
            "" if one.items_effect is None else f"{significant(one.items_effect)} ({one.items:,} items)",
            "" if one.margin is None else f"{one.margin:g}",
            "" if one.not_worse is None else f"{rounded(100 * one.not_worse, 0)}%",
            _needed(one.seeds_needed),
        )
    return table


def _effect(one: Power) -> str:
    """Both ends: at the measured spread, and at the one that the true spread is below in 80% of plans."""
    if one.effect is None:
        return "one seed tests nothing"
    if one.effect_assured is None:
        return f"{rounded(one.effect, 2)} spreads"
    unit = " of the cost" if cost_of(one.quantity) is not None else ""
    return f"{significant(one.effect)} to {significant(one.effect_assured)}{unit}"


def _needed(seeds: SeedsNeeded | None) -> str:
    if seeds is None:
        return ""
    ends = (f"over {MOST_SEEDS:,}" if end is None else str(end) for end in (seeds.as_measured, seeds.assured))
    return " to ".join(dict.fromkeys(ends))


def _source(earlier: ComparisonView | None) -> str:
    what = "Effects: two-sided 5%, 80% power, paired by seed. Adjusting for several questions asks for more."
    if earlier is None:
        return f"{what} No earlier run tells the spread; effects are in units of it (--like RUN)."
    n = len(earlier.seeds)
    return (
        f"{what} Spread: standard deviation of seed-level differences in {earlier.record.id} ({n} seeds), "
        "which is itself uncertain. Of two ends the first takes it as known; plan with the second, which "
        "holds in 80% of plans. Power: of showing a true difference of zero to be within the margin, on "
        "average over what the spread may be. Seeds needed: for 80% of that power."
    )
