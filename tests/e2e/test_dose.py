"""Dose-response: the more labels are flipped, the lower the held-out preference accuracy of every arm.

Whatever broke between the labels and the score (a swapped column, a probe of the wrong split, arms that train
on other data than they say) would break it.
"""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest
from e2e.test_compare import harness

from harness.data.embedded.world import pairs

TRAIN, TEST, DOSE = 896, 400, 0.4
LEAST = 0.05
"""At three seeds the dose took 14.0 to 19.6 points from each arm (docs/embedded.md)."""


@pytest.mark.slow
@pytest.mark.longest
@pytest.mark.timeout(900)
def test_flipped_labels_lower_the_accuracy_of_every_arm(tmp_path: Path) -> None:
    clean, flipped = (accuracies(tmp_path, share) for share in (0.0, DOSE))
    assert set(clean) == {"sft", "sft_dpo", "orpo"}
    assert {arm: clean[arm] - flipped[arm] for arm in clean if clean[arm] - flipped[arm] < LEAST} == {}


def accuracies(folder: Path, share: float) -> dict[str, float]:
    """Preference accuracy by arm at one seed on the embedded pairs, `share` of them flipped."""
    data = written(folder / f"data{share}", share)
    done = harness(
        *("compare", "embedded", "--data", str(data), "--score", "preference", "--seeds", "1"),
        *("--out", str(folder / f"runs{share}"), "--no-mlflow"),
        timeout=420,
    )
    assert done.returncode == 0, done.stderr + done.stdout
    arms = json.loads((folder / f"runs{share}/latest/report/comparison.json").read_text())["arms"]
    return {arm: told["scores"]["preference"]["accuracy"]["estimate"] for arm, told in arms.items()}


def written(folder: Path, share: float) -> Path:
    """The embedded world's pairs as a user's files: training labels flipped at random, test labels never."""
    flip = set(random.Random(0).sample(range(TRAIN), round(share * TRAIN)))
    folder.mkdir()
    for split, count in (("train", TRAIN), ("test", TEST)):
        rows = pairs(split, count)
        if split == "train":
            swap = {"chosen": "rejected", "rejected": "chosen"}
            rows = [
                {swap.get(k, k): v for k, v in row.items()} if place in flip else row
                for place, row in enumerate(rows)
            ]
        (folder / f"{split}.jsonl").write_text("\n".join(map(json.dumps, rows)))
    return folder
