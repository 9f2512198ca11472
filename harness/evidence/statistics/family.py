"""One closed test over everything that was registered: differences, margins and equivalences alike.

A question says up to three things of one true difference, of which not all can be false at once: that it
is not zero, that it is above minus the margin (not worse), and below the margin (not better). Where the
truth is zero only the first can be wrongly said; at minus the margin or below only the second; at the
margin or above only the third. So one question errs in one of three states. Closed testing (Marcus, Peritz
and Gabriel 1976) with Bonferroni's test of every intersection of states over questions holds the error of
all statements together: at most 5%, and 2.5% for saying "not worse". The shortcut below is that closed test
exactly (Holm 1979 where a question has one state; Shaffer 1986 for statements that exclude each other).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Statements:
    """One question's p values: two-sided of no difference, one-sided of each margin; None is untested."""

    difference: float | None
    not_worse: float | None = None
    not_better: float | None = None

    @property
    def states(self) -> tuple[float | None, float | None, float | None]:
        """p on the family's two-sided scale: an error of `not_worse` is held at half of its level."""
        worse = None if self.not_worse is None else min(1.0, 2 * self.not_worse)
        return self.difference, worse, self.not_better

    @property
    def largest(self) -> float:
        """The p of the state that is hardest to reject; a question that cannot be tested rejects none."""
        known = [p for p in self.states if p is not None]
        return max(known) if known and self.difference is not None else 1.0


def adjusted(family: Sequence[Statements]) -> list[Statements]:
    """Each question's p values, adjusted over the whole family.

    A statement holds where its adjusted p is below its level: 5% for `difference` and `not_better`, 2.5% for
    `not_worse`; "the same" needs both of the margin's.
    """
    results = []
    for place, one in enumerate(family):
        others = sorted((q.largest for i, q in enumerate(family) if i != place), reverse=True)
        difference, worse, better = (_adjusted(p, others) for p in one.states)
        results.append(Statements(difference, None if worse is None else worse / 2, better))
    return results


def _adjusted(p: float | None, others: Sequence[float]) -> float | None:
    """The largest Bonferroni p over all intersections that contain the state.

    The worst intersection of a given size holds the other questions whose hardest states are hardest.
    """
    if p is None:
        return None
    sizes = range(len(others) + 1)
    return min(1.0, max((size + 1) * min([p, *others[:size]]) for size in sizes))
