"""A comparison with all that is judged on it: what every section of its report reads."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.evidence.aggregates import aggregate_contrasts
from harness.evidence.answers import Answer, answers
from harness.evidence.arms import arm_titles
from harness.evidence.contrasts import Contrast, all_contrasts
from harness.evidence.failures import failures
from harness.evidence.next_steps import DEFAULT_ROOT
from harness.evidence.primary import Primary, primary
from harness.evidence.registered import reconciled
from harness.evidence.tuned import Search, searches
from harness.evidence.view import ComparisonView
from harness.pipeline.claims import Claim


@dataclass(frozen=True)
class Findings:
    """Contrasts of all arms, answers to the registered questions, and the two arms they are about.

    A contrast that a question is about has the verdict of its adjusted answer. `titles` has a title by
    arm. `claims` are judged on the run; `warnings` are what failed, and what only the outside knows, such as
    a comparison file that changed after the run; `root` is the folder of runs, as commands are given it.
    `searches` are those of the settings that each arm was compared with, none where nothing was tuned.
    """

    view: ComparisonView
    contrasts: tuple[Contrast, ...]
    answers: tuple[Answer, ...]
    primary: Primary | None
    titles: dict[str, str]
    claims: tuple[Claim, ...] = ()
    warnings: tuple[str, ...] = ()
    root: Path = DEFAULT_ROOT
    searches: tuple[Search, ...] = ()


def findings(
    view: ComparisonView,
    claims: Sequence[Claim] = (),
    warnings: Sequence[str] = (),
    root: Path = DEFAULT_ROOT,
) -> Findings:
    """Everything that can be said of a run, computed once."""
    answered = tuple(answers(view))
    return Findings(
        view,
        tuple(reconciled(one, answered) for one in (*all_contrasts(view), *aggregate_contrasts(view))),
        answered,
        primary(view),
        arm_titles(view),
        tuple(claims),
        (*failures(view.record), *warnings),
        root,
        tuple(searches(view)),
    )
