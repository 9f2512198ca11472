"""Stock DPO: trl.DPOTrainer with its reference in the loop, as its documentation shows it."""

from __future__ import annotations

import argparse

from common import dtype, pairs, run, settings
from trl import DPOConfig, DPOTrainer


def build(given: argparse.Namespace) -> DPOTrainer:
    """Without a `ref_model` TRL loads the starting model a second time."""
    held = {"model_init_kwargs": {"dtype": dtype(given)}}
    args = DPOConfig(**settings(given), **held, beta=given.settings["beta"])
    return DPOTrainer(model=given.model, args=args, train_dataset=pairs(given))


if __name__ == "__main__":
    run(build)
