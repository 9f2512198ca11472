"""What items share, so that they are not counted as independent: the key `cluster` of an item's row."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from harness.data.schemas import digest


def shared(texts: Sequence[str]) -> list[dict[str, str]]:
    """For each item `{"cluster": ...}` where others have its text too, else nothing: it stands alone."""
    times = Counter(texts)
    return [{"cluster": digest(text)} if times[text] > 1 else {} for text in texts]
