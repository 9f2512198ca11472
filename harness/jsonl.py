"""JSON lines: one object a line, ASCII, so that any text survives, lone surrogates included."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from harness.redact import value_hider


def write_jsonl(path: Path, rows: Iterable[dict[str, Any]]) -> None:
    """Write all rows or none."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary, without_secrets = path.with_name(f".{path.name}.{os.getpid()}"), value_hider()
    try:
        with temporary.open("w", encoding="ascii") as sink:
            for row in rows:
                sink.write(without_secrets(json.dumps(row)) + "\n")
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def read_jsonl(path: Path) -> list[dict[str, Any]]:
    """All rows of a file that `write_jsonl` wrote."""
    with path.open(encoding="ascii") as source:
        return [json.loads(line) for line in source]


def well_formed(text: str) -> str:
    """`text` with U+FFFD for each lone surrogate, which JSON may hold and no tokenizer takes."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
