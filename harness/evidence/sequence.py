"""Seeds added look by look: which questions are open, what stopping saves, and the report's note on it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from harness.evidence.answers import Answer
from harness.evidence.registered import is_counted
from harness.evidence.statistics.looks import OPEN
from harness.evidence.view import ComparisonView
from harness.units import significant


@dataclass(frozen=True)
class Saved:
    """Seeds that were not trained, and the seconds of training that they would have taken.

    `seconds` is estimated from the mean of a block, in which a stage that arms share runs once; None where
    the time of some stage is absent.
    """

    seeds: int
    seconds: float | None


def open_questions(answers: Sequence[Answer]) -> list[Answer]:
    """The questions that more seeds may answer; a counted cost is a value and needs none."""
    return [one for one in answers if one.verdict.outcome in OPEN and not is_counted(one.quantity)]


def saved(view: ComparisonView) -> Saved:
    """What stopping at this run's seeds leaves out of the last look's."""
    lost = {cell.seed for cell in view.record.missing} - set(view.seeds)
    seeds = int(view.record.plan.spec["looks"][-1]) - len(view.seeds) - len(lost)
    measured = [stage.measured("wall_seconds") for stage in view.trained_stages]
    seconds = [one.value for one in measured if one is not None and one.value is not None]
    if len(seconds) < len(measured) or view.mixed_fleet:
        return Saved(seeds, None)
    return Saved(seeds, seeds * sum(seconds) / len(view.seeds))


def look_note(view: ComparisonView) -> tuple[str, ...]:
    """Which look the answers are of, and what of them is adjusted for it; nothing where seeds were fixed."""
    look = view.look
    if look is None:
        return ()
    planned = ", ".join(map(str, view.record.plan.spec["looks"]))
    return (
        f"Look {look.number} of {len(look.weights)} (at {planned} seeds): every p is adjusted for peeking, "
        f"divided by this look's share {significant(look.weight)} of the error before the family is "
        "adjusted. Intervals and minimum detectable effects are not adjusted for it.",
    )


def looks_in_words(view: ComparisonView) -> str:
    """The methods paragraph's sentence, after a space; empty where seeds were fixed."""
    look = view.look
    if look is None:
        return ""
    planned = ", ".join(map(str, view.record.plan.spec["looks"]))
    shares = ", ".join(map(significant, look.weights))
    return (
        f" Seeds were added in looks written down before the run (at {planned} seeds) until every tested "
        f"question was decided or the last look was done; this is look {look.number} of {len(look.weights)}, "
        f"and p values are adjusted for peeking by Bonferroni's bound with shares {shares} of the error."
    )
