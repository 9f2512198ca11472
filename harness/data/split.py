"""Train and test that share no prompt."""

from __future__ import annotations

from harness.data.schemas import Pair, digest


def split_pairs(splits: dict[str, list[Pair]], test_fraction: float) -> tuple[list[Pair], list[Pair], str]:
    """Train, test and where the test pairs came from.

    Without a test split, prompts whose hash falls below `test_fraction` are the test: pairs that
    share a prompt stay together, and more data changes no pair's side.
    """
    train = splits["train"]
    if "test" in splits:
        return train, splits["test"], "the source's own test split"
    test = [pair for pair in train if _share(pair.group) < test_fraction]
    kept = [pair for pair in train if _share(pair.group) >= test_fraction]
    return kept, test, f"{test_fraction:.0%} of the prompts, by hash"


def without_overlap(train: list[Pair], test: list[Pair]) -> list[Pair]:
    """The test pairs whose prompt is not in training."""
    known = {pair.group for pair in train}
    return [pair for pair in test if pair.group not in known]


def limit_pairs(pairs: list[Pair], limit: int | None) -> list[Pair]:
    """At most `limit` pairs, chosen by hash so that the order of the file does not matter."""
    if limit is None or len(pairs) <= limit:
        return pairs
    kept = set(sorted(range(len(pairs)), key=lambda i: digest(pairs[i].id))[:limit])
    return [pair for i, pair in enumerate(pairs) if i in kept]


def _share(group: str) -> float:
    return int(digest(f"split/{group}"), 16) / 16**16
