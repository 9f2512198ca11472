"""Whole weights as they were trained, adapters folded in."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from harness.forms import FormAbout

ABOUT = FormAbout("whole weights, as they were trained", rounds=False)


def write(source: Path, to: Path, variant: str | None) -> None:
    """A copy."""
    shutil.copytree(source, to)


def load(folder: Path) -> Any:
    """By transformers, which reads from the folder in which dtype weights lie, and how they are quantised."""
    import transformers

    return transformers.AutoModelForCausalLM.from_pretrained(folder, dtype="auto").eval()
