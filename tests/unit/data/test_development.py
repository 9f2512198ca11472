"""Trials are scored on pairs that no score of the comparison uses, and that nothing is trained on."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from harness.data.load import load_pairs
from harness.pipeline.data_spec import DataSpec

EMBEDDED = DataSpec(max_length=64, limit=64, test_limit=20)


def groups(pairs: list[object]) -> set[str]:
    return {pair.group for pair in pairs}  # type: ignore[attr-defined]


def written(folder: Path, splits: tuple[str, ...]) -> DataSpec:
    for number, split in enumerate(splits):
        rows = [
            {"prompt": f"{split} {i}", "chosen": f"good {i}", "rejected": f"bad {i + number}"}
            for i in range(80)
        ]
        (folder / f"{split}.jsonl").write_text("\n".join(map(json.dumps, rows)))
    return DataSpec(source=str(folder), test_fraction=0.2, validation_fraction=0.2)


def test_the_embedded_world_has_a_split_for_it() -> None:
    usual, trials = load_pairs(EMBEDDED), load_pairs(EMBEDDED, development=True)
    assert trials.train == usual.train
    assert len(trials.test) == 20
    assert not groups(trials.test) & (groups(usual.test) | groups(usual.train))
    swapped = EMBEDDED.model_copy(update={"test_split": "dev"})
    other = load_pairs(swapped, development=True)
    assert not groups(other.test) & groups(load_pairs(swapped).test)


@pytest.mark.parametrize("splits", [("train", "test"), ("train",)])
@pytest.mark.parametrize("stops_early", [False, True])
def test_other_data_gives_training_pairs(tmp_path: Path, splits: tuple[str, ...], stops_early: bool) -> None:
    spec = written(tmp_path, splits)
    usual = load_pairs(spec, validation=stops_early)
    trials = load_pairs(spec, validation=stops_early, development=True)
    assert trials.test
    assert trials.held_out() == trials.test
    assert not groups(trials.test) & groups(usual.test)
    assert not groups(trials.test) & groups(trials.train)
    assert groups(trials.train) <= groups(load_pairs(spec).train)
    # Early stopping may choose by the same pairs: it is no score.
    assert (trials.validation is not None) == stops_early
    if stops_early:
        assert usual.validation is not None
        assert groups(usual.validation.pairs) == groups(trials.test)
