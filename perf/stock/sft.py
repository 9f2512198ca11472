"""Stock SFT: trl.SFTTrainer on prompt and completion, as its documentation shows it."""

from __future__ import annotations

import argparse

from common import dtype, pairs, run, settings
from trl import SFTConfig, SFTTrainer


def build(given: argparse.Namespace) -> SFTTrainer:
    """The chosen answers are the completions; the loss covers them alone."""
    rows = pairs(given).rename_column("chosen", "completion").remove_columns("rejected")
    args = SFTConfig(**settings(given), model_init_kwargs={"dtype": dtype(given)})
    return SFTTrainer(model=given.model, args=args, train_dataset=rows)


if __name__ == "__main__":
    run(build)
