"""What a model folder holds beside its weights."""

from __future__ import annotations

import shutil
from pathlib import Path

WEIGHTS = (".safetensors", ".safetensors.index.json", ".bin", ".gguf")


def copy_beside(source: Path, to: Path) -> None:
    """Copy tokenizer, template and generation settings that `to` has not, but no weights."""
    for file in sorted(source.iterdir()):
        if file.is_file() and not file.name.endswith(WEIGHTS) and not (to / file.name).exists():
            shutil.copy2(file, to / file.name)
