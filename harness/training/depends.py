"""What work that is kept for other stages depends on: its file is called by the digest of all of it."""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

NOT_OF_A_PASS = ("_name_or_path", "use_cache")
"""Of a model's configuration: where it was loaded from, and what every pass of ours sets itself. A checkpoint
says otherwise here than the model that it was trained from."""


def digest_of_all(parts: Mapping[str, Any]) -> str:
    """32 hex digits over all of `parts`, whatever their order."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()[:32]


def model_in_numbers(model: Any) -> list[Any]:
    """Its configuration, and its weights' shapes."""
    config = {name: value for name, value in model.config.to_dict().items() if name not in NOT_OF_A_PASS}
    weights = [(name, list(w.shape), str(w.dtype), w.requires_grad) for name, w in model.named_parameters()]
    return [config, weights]


@functools.cache
def own_code() -> str:
    """The digest of every file of this package."""
    found = hashlib.sha256()
    folder = Path(__file__).parents[1]
    for file in sorted(folder.rglob("*.py")):
        found.update(str(file.relative_to(folder)).encode() + b"\0" + file.read_bytes())
    return found.hexdigest()
