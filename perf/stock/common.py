"""What the three stock scripts share: their arguments, the trainer's settings, and the clock.

Precision, batch, schedule and rates are those of the comparison; what TRL's documentation leaves to
its defaults is left to them here.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from datasets import Dataset, load_dataset


def arguments() -> argparse.Namespace:
    """The command line: a model folder, a file of pairs, and the settings to train with."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--model", required=True, help="folder of weights, tokenizer and chat template")
    parser.add_argument("--pairs", required=True, help="JSON lines with prompt, chosen and rejected messages")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--settings", type=json.loads, required=True, help="a stage's settings as JSON")
    parser.add_argument("--max-length", type=int, required=True)
    parser.add_argument("--seed", type=int, required=True)
    return parser.parse_args()


def pairs(given: argparse.Namespace) -> Dataset:
    """The pairs as TRL reads them."""
    return load_dataset("json", data_files=given.pairs, split="train")


def settings(given: argparse.Namespace) -> dict[str, Any]:
    """Arguments that TRL's three configs have in common."""
    stage = given.settings
    return {
        "output_dir": str(given.out),
        "seed": given.seed,
        "learning_rate": stage["learning_rate"],
        "num_train_epochs": stage["epochs"],
        "per_device_train_batch_size": stage["micro_batch_size"],
        "gradient_accumulation_steps": stage["batch_size"] // stage["micro_batch_size"],
        "lr_scheduler_type": stage["schedule"],
        "warmup_steps": stage["warmup_ratio"],
        "gradient_checkpointing": stage["gradient_checkpointing"],
        "bf16": stage["dtype"] == "bfloat16",
        "max_length": given.max_length,
        "save_strategy": "no",
        "disable_tqdm": True,
    }


def run(build: Callable[[argparse.Namespace], Any]) -> None:
    """Build, train and save; print the seconds as JSON. Imports lie before the clock.

    `train_seconds` is `trainer.train()` alone; `wall_seconds` runs from the model's load to the saved
    checkpoint, and TRL tokenises in between.
    """
    given = arguments()
    began = time.perf_counter()
    trainer = build(given)
    ready = time.perf_counter()
    trainer.train()
    trained = time.perf_counter()
    trainer.save_model(str(given.out / "model"))
    saved = time.perf_counter()
    steps = trainer.state.global_step
    print(json.dumps({"train_seconds": trained - ready, "wall_seconds": saved - began, "steps": steps}))
