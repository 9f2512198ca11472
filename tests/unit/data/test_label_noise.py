"""Labels flipped on purpose: as many as asked, in training alone, and the same ones at larger shares."""

from __future__ import annotations

import pytest

from harness.data.load import load_pairs
from harness.data.schemas import Pair
from harness.data.split import flip_labels
from harness.pipeline.data_spec import DataSpec


def flipped(share: float) -> set[str]:
    clean, noisy = (load_pairs(DataSpec(limit=200, label_noise=noise)).train for noise in (0.0, share))
    assert [pair.id for pair in clean] == [pair.id for pair in noisy]
    changed = set()
    for before, after in zip(clean, noisy, strict=True):
        if after != before:
            assert (after.chosen, after.rejected) == (before.rejected, before.chosen)
            changed.add(after.id)
    return changed


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 1.0])
def test_as_many_as_asked_are_flipped(share: float) -> None:
    assert len(flipped(share)) == share * 200


def test_what_is_flipped_at_one_share_is_flipped_at_a_larger_one() -> None:
    assert flipped(0.1) < flipped(0.5) < flipped(0.9)


def test_held_out_pairs_keep_their_labels() -> None:
    clean, noisy = (
        load_pairs(DataSpec(limit=200, label_noise=noise), validation=True) for noise in (0.0, 1.0)
    )
    assert clean.test == noisy.test
    assert clean.validation == noisy.validation
    assert clean.train != noisy.train


def test_the_choice_goes_by_prompts_and_not_by_the_order_of_a_file() -> None:
    pairs = [Pair(str(i), [{"role": "user", "content": f"q{i}"}], f"good {i}", f"bad {i}") for i in range(40)]
    one = {pair.id: pair.chosen for pair in flip_labels(pairs, 0.3)}
    other = {pair.id: pair.chosen for pair in flip_labels(pairs[::-1], 0.3)}
    assert one == other
