"""What the stock scripts share: arguments, the trainer's settings, the clock and the high-water mark.

Precision, batch, schedule and rates are those of the comparison; what TRL's documentation leaves to
its defaults is left to them here. Nothing of the harness is imported: its start-up is not the rival's.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from datasets import Dataset, load_dataset

NOT_TRAINED_ON = "prompt_attention_mask"
"""TRL's ORPO collates the prompt alone beside the two sequences that hold it."""


def arguments() -> argparse.Namespace:
    """The command line: a model folder, a file of pairs, and the settings to train with."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--model", required=True, help="folder of weights, tokenizer and chat template")
    parser.add_argument("--pairs", required=True, help="JSON lines with prompt, chosen and rejected messages")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--settings", type=json.loads, required=True, help="a stage's settings as JSON")
    parser.add_argument("--max-length", type=int, required=True)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--in-order", action="store_true", help="take the pairs in the file's order")
    parser.add_argument("--log-every", type=int, help="steps between two logged losses, else TRL's default")
    return parser.parse_args()


def pairs(given: argparse.Namespace) -> Dataset:
    """The pairs as TRL reads them."""
    return load_dataset("json", data_files=given.pairs, split="train")


def dtype(given: argparse.Namespace) -> str:
    """What the weights are held in. Left to itself, transformers takes the file's dtype: bfloat16."""
    return "bfloat16" if given.settings["precision"] == "bfloat16" else "float32"


def settings(given: argparse.Namespace) -> dict[str, Any]:
    """Arguments that TRL's three configs have in common. `auto` precision is float32, as on a CPU."""
    stage = given.settings
    return {
        "output_dir": str(given.out),
        "seed": given.seed,
        "learning_rate": stage["learning_rate"],
        "num_train_epochs": stage["epochs"],
        "max_steps": stage["max_steps"] or -1,
        "per_device_train_batch_size": stage["micro_batch_size"],
        "gradient_accumulation_steps": stage["batch_size"] // stage["micro_batch_size"],
        "lr_scheduler_type": stage["schedule"],
        "lr_scheduler_kwargs": None
        if stage["min_lr_rate"] is None
        else {"min_lr_rate": stage["min_lr_rate"]},
        "warmup_steps": stage["warmup_ratio"] if stage["warmup_steps"] is None else stage["warmup_steps"],
        "gradient_checkpointing": stage["gradient_checkpointing"],
        "bf16": stage["precision"] == "mixed",
        "max_length": given.max_length,
        "train_sampling_strategy": "sequential" if given.in_order else "random",
        "save_strategy": "no",
        "report_to": "none",
        "disable_tqdm": True,
        **({"logging_steps": given.log_every} if given.log_every else {}),
    }


def run(build: Callable[[argparse.Namespace], Any]) -> None:
    """Build, train and save; print seconds, bytes, tokens and losses as JSON. Imports lie before the clock.

    `train_seconds` is `trainer.train()` alone; `wall_seconds` runs from the model's load to the saved
    checkpoint, and TRL tokenises in between. `growth_bytes` is the high-water mark above what imports took.
    """
    given = arguments()
    after_imports = reset_high_water_mark()
    began = time.perf_counter()
    trainer = build(given)
    ready = time.perf_counter()
    trainer.train()
    trained = time.perf_counter()
    trainer.save_model(str(given.out / "model"))
    saved = time.perf_counter()
    peak = high_water_mark()
    figures = {"train_seconds": trained - ready, "wall_seconds": saved - began}
    figures |= {"load_seconds": ready - began, "save_seconds": saved - trained}
    memory = {"growth_bytes": peak - after_imports, "peak_rss_bytes": peak}
    steps = trainer.state.global_step
    course = {"steps": steps, "tokens": real_tokens(trainer), "losses": losses(trainer.state.log_history)}
    print(json.dumps({**figures, **memory, **course}))


def losses(history: list[dict[str, Any]]) -> list[tuple[int, int, float]]:
    """(first step, last step, mean loss) as TRL logged them; over all steps where it logged none."""
    found, before = [], 0
    for entry in history:
        if "loss" in entry:
            found.append((before + 1, entry["step"], float(entry["loss"])))
            before = entry["step"]
    whole = next((e for e in reversed(history) if "train_loss" in e), None)
    if not found and whole is not None:
        found.append((1, whole["step"], float(whole["train_loss"])))
    return found


def real_tokens(trainer: Any) -> int:
    """Tokens of one epoch's batches without padding, counted after the clock has stopped."""
    tokens = 0
    for batch in trainer.get_train_dataloader():
        masks = [m for name, m in batch.items() if name.endswith("attention_mask") and name != NOT_TRAINED_ON]
        tokens += sum(int(mask.sum()) for mask in masks)
    return tokens


def reset_high_water_mark() -> int:
    """Set the kernel's mark of this process back to the present level, which is returned in bytes."""
    Path("/proc/self/clear_refs").write_text("5")
    return high_water_mark()


def high_water_mark() -> int:
    """VmHWM in bytes: what the harness reads of its own stages too."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:"))
