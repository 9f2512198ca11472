"""A file that is written at once: whoever reads it sees all of it, or what stood there before."""

from __future__ import annotations

import os
from pathlib import Path

from harness.redact import by_value


def write_atomically(path: Path, text: str) -> None:
    """Write all of `text` or nothing, without secrets: a reader never sees half a file."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        temporary.write_text(by_value(text), encoding="utf-8")
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
