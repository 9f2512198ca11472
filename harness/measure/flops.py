"""FLOPs of a run from counts of single steps.

Counting runs outside the timed window: the counter slows a step by about 16%. A run's total is
the sum over its buckets (batch, length, scored positions, tokens of a row) of the count of one step times
how often it ran. A step's FLOPs are a polynomial in these numbers, so a few small counts
determine it exactly, in fractions; counts of real buckets must then equal it to the last FLOP,
or every bucket is counted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import Literal

from harness.measure.counting import FlopCount, count

Counter = Callable[[Callable[[], object], int], FlopCount]
"""Counts one call of a step with so many tokens."""

COUNT_EACH_UP_TO = 12
ENOUGH_KNOWN = 3
"""Real buckets of equal steps that were counted before: with so many, a run counts only a larger one."""


@dataclass(frozen=True, order=True)
class Bucket:
    """`batch` sequences in one forward, in attention padded to `length` tokens, `scored` positions in all.

    Where they lie in one row, `row` is its number of tokens; elsewhere they are padded everywhere.
    """

    batch: int
    length: int
    scored: int
    row: int | None = None

    @property
    def tokens(self) -> int:
        """Positions of the forward outside attention, padding included."""
        return self.batch * self.length if self.row is None else self.row


# Batches are even, as those of pairs are. They determine the six terms of `_terms`, padded or in one row.
FIT_ON = tuple(
    Bucket(b, t, s) for b, t, s in ((2, 8, 4), (2, 16, 4), (2, 24, 4), (4, 8, 4), (4, 16, 4), (2, 16, 10))
)
FIT_ROWS_ON = tuple(
    replace(bucket, row=tokens) for bucket, tokens in zip(FIT_ON, (14, 20, 40, 28, 52, 26), strict=True)
)
HELD_OUT = Bucket(6, 24, 14)
ROW_HELD_OUT = replace(HELD_OUT, row=100)


@dataclass(frozen=True)
class FlopTotal:
    """A run's total. `how` is `each` (every bucket counted) or `fit` (polynomial, exact)."""

    total: int
    unknown_ops: tuple[str, ...]
    counted_buckets: int
    how: Literal["each", "fit"]


class FlopModel:
    """FLOPs of any bucket that `step` can run.

    `buckets` are those to expect: few are counted one by one, of many the polynomial is checked
    on the smallest, the middle and the largest, and on all that is `known`: counts of the same `step` that
    need not be made again.
    """

    def __init__(
        self,
        buckets: Mapping[Bucket, int],
        step: Callable[[Bucket], object],
        known: Mapping[Bucket, FlopCount] | None = None,
        counter: Counter = lambda run, tokens: count(run),
    ) -> None:
        self._counts = _Counts(step, counter, known or {})
        predict = _fitted(buckets, self._counts) if len(buckets) > COUNT_EACH_UP_TO else None
        self._each = predict or self._counts.of
        self.how: Literal["each", "fit"] = "fit" if predict else "each"

    @property
    def counts(self) -> Mapping[Bucket, FlopCount]:
        """What is known by now."""
        return {**self._counts.known, **self._counts.done}

    def of(self, bucket: Bucket) -> int:
        """FLOPs of one run of `bucket`."""
        flops = self._each(bucket)
        assert flops == int(flops), "a count is whole"
        return int(flops)

    def total(self, buckets: Mapping[Bucket, int]) -> FlopTotal:
        """FLOPs of all runs."""
        total = sum(self.of(bucket) * times for bucket, times in buckets.items())
        unknown = {op for c in self._counts.done.values() for op in c.unknown_ops}
        return FlopTotal(total, tuple(sorted(unknown)), len(self._counts.done), self.how)


@dataclass
class _Counts:
    """Counts by bucket, each made once."""

    step: Callable[[Bucket], object]
    counter: Counter
    known: Mapping[Bucket, FlopCount]
    done: dict[Bucket, FlopCount] = field(default_factory=dict)

    def of(self, bucket: Bucket) -> int:
        if bucket not in self.done:
            known = self.known.get(bucket)
            self.done[bucket] = known or self.counter(lambda: self.step(bucket), bucket.tokens)
        return self.done[bucket].total


def _fitted(buckets: Mapping[Bucket, int], counts: _Counts) -> Callable[[Bucket], Fraction] | None:
    """The polynomial through `fit_on`, or None where a bucket that it has not seen disagrees."""
    small = fit_on(buckets)
    coefficients = solve([_terms(b) for b in small], [counts.of(b) for b in small])

    def predict(bucket: Bucket) -> Fraction:
        return sum((c * t for c, t in zip(coefficients, _terms(bucket), strict=True)), Fraction())

    checks = _checks(buckets, [bucket for bucket in counts.known if bucket not in small])
    held_out = HELD_OUT if small is FIT_ON else ROW_HELD_OUT
    return predict if all(predict(b) == counts.of(b) for b in (held_out, *checks)) else None


def _checks(buckets: Iterable[Bucket], known: Sequence[Bucket]) -> list[Bucket]:
    """Buckets that the polynomial has to give: what is `known` of other runs, and of this one the smallest,
    the middle and the largest as far as those do not stand for them."""
    by_cost = sorted(buckets, key=_cost)
    checks = list(known)
    if not known or _cost(max(known, key=_cost)) < _cost(by_cost[-1]):
        checks.append(by_cost[-1])
    if len(known) < ENOUGH_KNOWN:
        checks += [by_cost[0], by_cost[len(by_cost) // 2]]
    return checks


def _cost(bucket: Bucket) -> tuple[int, int]:
    """Orders buckets by attention, which grows fastest, and then by the head."""
    return (bucket.batch * bucket.length**2, bucket.scored)


def fit_on(buckets: Iterable[Bucket]) -> tuple[Bucket, ...]:
    """The small buckets that determine the polynomial of such buckets."""
    return FIT_ON if all(bucket.row is None for bucket in buckets) else FIT_ROWS_ON


def _terms(bucket: Bucket) -> tuple[int, ...]:
    """Matrices, attention, head, what is done once a sequence, a position (rotary) and a step."""
    b, t = bucket.batch, bucket.length
    return (bucket.tokens, b * t * t, bucket.scored, b, t, 1)


def solve(rows: list[tuple[int, ...]], values: list[int]) -> list[Fraction]:
    """x with rows @ x = values, by Gauss-Jordan elimination in fractions; rows must be regular."""
    size = len(rows)
    table = [[Fraction(n) for n in (*row, value)] for row, value in zip(rows, values, strict=True)]
    for column in range(size):
        pivot = next(i for i in range(column, size) if table[i][column])
        table[column], table[pivot] = table[pivot], table[column]
        scale = table[column][column]
        table[column] = [n / scale for n in table[column]]
        for i in range(size):
            if i != column and table[i][column]:
                factor = table[i][column]
                table[i] = [n - factor * p for n, p in zip(table[i], table[column], strict=True)]
    return [row[-1] for row in table]
