"""Answers as they are made, one JSON line each, so that a broken run goes on where it stopped."""

from __future__ import annotations

import json
from pathlib import Path

from harness.generate import Answer


class KeptAnswers:
    """An append-only file of answers; a line that was cut off counts as not answered."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def load(self) -> dict[str, Answer]:
        """Answers by the digest of what was asked."""
        if not self._path.is_file():
            return {}
        by_digest = {}
        for line in self._path.read_text(encoding="ascii").splitlines():
            try:
                row = json.loads(line)
            except ValueError:
                continue
            by_digest[row["asked"]] = Answer(**row)
        return by_digest

    def add(self, answers: list[Answer]) -> None:
        """Write a batch; it survives a kill of the process."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        torn = self._path.is_file() and not self._path.read_bytes().endswith(b"\n")
        with self._path.open("a", encoding="ascii") as sink:
            sink.write("\n" * torn + "".join(json.dumps(a.as_row()) + "\n" for a in answers))

    def discard(self) -> None:
        """Remove the file once the whole is kept elsewhere."""
        self._path.unlink(missing_ok=True)
