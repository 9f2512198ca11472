"""A file that is written at once: whoever reads it sees all of it, or what stood there before."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from harness.redact import by_value


def write_atomically(path: Path, text: str) -> None:
    """Write all of `text` or nothing, without secrets: a reader never sees half a file."""
    with written_whole(path) as temporary:
        temporary.write_text(by_value(text), encoding="utf-8")


@contextlib.contextmanager
def written_whole(path: Path) -> Iterator[Path]:
    """A file beside `path` to write, which takes its place at once where the body ends well."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        yield temporary
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
