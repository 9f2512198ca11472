"""Stock SFT: trl.SFTTrainer on prompt and completion, as its documentation shows it."""

from __future__ import annotations

import argparse

from common import pairs, run, settings
from trl import SFTConfig, SFTTrainer


def build(given: argparse.Namespace) -> SFTTrainer:
    """The chosen answers are the completions; the loss covers them alone."""
    rows = pairs(given).rename_column("chosen", "completion").remove_columns("rejected")
    return SFTTrainer(model=given.model, args=SFTConfig(**settings(given)), train_dataset=rows)


if __name__ == "__main__":
    run(build)
