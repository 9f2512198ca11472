"""Stock ORPO: trl.experimental.orpo.ORPOTrainer, as its documentation shows it."""

from __future__ import annotations

import argparse

from common import dtype, pairs, run, settings
from transformers import AutoModelForCausalLM, AutoTokenizer
from trl.experimental.orpo import ORPOConfig, ORPOTrainer


def build(given: argparse.Namespace) -> ORPOTrainer:
    """TRL calls the weight of the odds ratio `beta`."""
    return ORPOTrainer(
        model=AutoModelForCausalLM.from_pretrained(given.model, dtype=dtype(given)),
        args=ORPOConfig(**settings(given), beta=given.settings["lambda"]),
        train_dataset=pairs(given),
        processing_class=AutoTokenizer.from_pretrained(given.model),
    )


if __name__ == "__main__":
    run(build)
