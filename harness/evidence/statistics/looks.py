"""Looks at growing data: what is said at any of them stays within the error of one.

Bonferroni alpha spending: look k of K gets the share w_k of the error, the shares sum to 1, and every p of
the family is divided by w_k before the closed test (`family`). At look k the closed test errs in at most
5% times w_k, so by the union bound over looks a false statement is made at any look, whatever the rule
to stop, in at most 5%, and a false "not worse" in at most 2.5%. Spending of error over planned looks is
chapter 7 of Jennison and Turnbull (2000), Group Sequential Methods; the bound is Bonferroni's inequality.

It is conservative against O'Brien and Fleming (1979), whose bounds use that the statistics of the looks are
correlated. That correlation is known for means whose variance is known or whose n is large; with three to
ten seeds it is a t of few degrees of freedom, an exact test of counts or a closed test over questions, for
whose joint distribution over looks nothing can be assumed. The bound here holds for any valid test and any
dependence.
"""

from __future__ import annotations

from harness.evidence.statistics.family import Statements
from harness.evidence.statistics.verdict import Outcome

OPEN = (Outcome.NOT_SEPARABLE, Outcome.NOT_MEASURED)
"""The outcomes that more seeds may turn into an answer."""


def weights(looks: int) -> tuple[float, ...]:
    """Each look's share of the error, w_k = 2k / (K (K + 1)): later looks, with more seeds, get more."""
    return tuple(2 * number / (looks * (looks + 1)) for number in range(1, looks + 1))


def at_look(one: Statements, weight: float) -> Statements:
    """One question's p values at a look with this share of the error."""
    difference, worse, better = (
        None if p is None else min(1.0, p / weight) for p in (one.difference, one.not_worse, one.not_better)
    )
    return Statements(difference, worse, better)
