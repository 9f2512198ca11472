"""Train, validation and test that share no prompt."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

from harness.data.schemas import Pair, digest

FEWEST_VALIDATION = 8


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


def hold_out(train: list[Pair], test: list[Pair], fraction: float) -> tuple[list[Pair], list[Pair]]:
    """Train, and the validation pairs that were taken out of it.

    Prompts whose hash falls below `fraction`, and those of the smallest hashes until there are
    `FEWEST_VALIDATION` pairs (half of `train` at most). A prompt of a test pair is never taken, so that
    validation and test share none even where training and test do.
    """
    sizes = Counter(pair.group for pair in train)
    free = sizes.keys() - {pair.group for pair in test}
    fewest = min(FEWEST_VALIDATION, len(train) // 2)
    taken: set[str] = set()
    for group in sorted(free, key=_validation_share):
        if _validation_share(group) >= fraction and sum(sizes[one] for one in taken) >= fewest:
            break
        taken.add(group)
    kept = [pair for pair in train if pair.group not in taken]
    return kept, [pair for pair in train if pair.group in taken]


def without_overlap(known: list[Pair], held_out: list[Pair]) -> list[Pair]:
    """The held-out pairs whose prompt no known pair has."""
    groups = {pair.group for pair in known}
    return [pair for pair in held_out if pair.group not in groups]


def limit_pairs(pairs: list[Pair], limit: int | None) -> list[Pair]:
    """At most `limit` pairs, chosen by a hash of the prompt.

    Neither the order of the file nor which answer is called chosen matters, so that data sets that differ in
    labels keep the same pairs.
    """
    if limit is None or len(pairs) <= limit:
        return pairs
    ranks = [(digest(f"limit/{pair.group}"), digest(pair.id)) for pair in pairs]
    kept = set(sorted(range(len(pairs)), key=ranks.__getitem__)[:limit])
    return [pair for i, pair in enumerate(pairs) if i in kept]


def flip_labels(pairs: list[Pair], share: float) -> list[Pair]:
    """`pairs` with chosen and rejected exchanged in a `share` of them, chosen by a hash of the prompt.

    What is flipped at one share is flipped at every larger one. An id is that of the pair before.
    """
    ranks = [(digest(f"noise/{pair.group}"), digest(pair.id)) for pair in pairs]
    flipped = set(sorted(range(len(pairs)), key=ranks.__getitem__)[: round(share * len(pairs))])
    return [
        replace(pair, chosen=pair.rejected, rejected=pair.chosen) if i in flipped else pair
        for i, pair in enumerate(pairs)
    ]


def _share(group: str) -> float:
    return int(digest(f"split/{group}"), 16) / 16**16


def _validation_share(group: str) -> float:
    """Another hash than the test's, which has already taken the smallest of its own."""
    return int(digest(f"validation/{group}"), 16) / 16**16
