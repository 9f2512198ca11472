"""How far judges agree beyond chance."""

from __future__ import annotations

from collections.abc import Sequence


def krippendorff_alpha(ratings: Sequence[Sequence[float | None]]) -> float | None:
    """Krippendorff's alpha for interval data (Krippendorff 2011, Computing Krippendorff's
    Alpha-Reliability): 1 - observed / expected squared difference.

    `ratings[j][i]` is judge j's rating of item i, None where it gave none; items with one rating
    are left out. 1 is full agreement, 0 what chance gives. None where nothing can be compared, or
    all ratings are one value.
    """
    units = [[r for r in item if r is not None] for item in zip(*ratings, strict=True)]
    units = [unit for unit in units if len(unit) > 1]
    values = [value for unit in units for value in unit]
    n = len(values)
    if n < 2:
        return None
    observed = sum(_squares(unit) / (len(unit) - 1) for unit in units) / n
    expected = _squares(values) / (n * (n - 1))
    return None if expected == 0 else 1 - observed / expected


def _squares(values: Sequence[float]) -> float:
    """Sum of squared differences over ordered pairs."""
    n, total = len(values), sum(values)
    return 2 * (n * sum(v * v for v in values) - total * total)
