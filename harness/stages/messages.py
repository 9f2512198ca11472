"""What a stage's process says on its pipe: one JSON object a line. Whatever comes, the parent goes on."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

LONGEST = 1 << 20
"""Bytes of a line; messages have some hundred."""
SHOWN = 60


class Messages:
    """Cuts what comes into messages; `refused` counts lines that are none."""

    def __init__(self) -> None:
        self.refused = 0
        self._pending = b""
        self._skips = False

    def feed(self, chunk: bytes) -> list[dict[str, Any]]:
        """The messages that `chunk` ends. The first line that is none leaves a message that says so."""
        *lines, rest = (self._pending + chunk).split(b"\n")
        found = [message for line in lines if (message := self._read(line)) is not None]
        self._pending = rest
        if len(rest) > LONGEST:
            self._pending, self._skips = b"", True
        return found

    def _read(self, line: bytes) -> dict[str, Any] | None:
        if self._skips:
            self._skips = False
            return self._refuse(b"a line without an end")
        if not line.strip():
            return None
        try:
            message = json.loads(line)
        except (ValueError, RecursionError):
            return self._refuse(line)
        return message if is_message(message) else self._refuse(line)

    def _refuse(self, line: bytes) -> dict[str, Any] | None:
        self.refused += 1
        if self.refused > 1:
            return None
        shown = "".join(c if c.isprintable() else "?" for c in line[:SHOWN].decode("utf-8", "replace"))
        return {"say": f'its pipe carried what is no message and is ignored ("{shown}")'}


def is_message(message: object) -> bool:
    """Whether it has the fields that listeners read, as they read them."""
    if not isinstance(message, dict):
        return False
    if "step" in message:
        steps = (message["step"], message.get("total"))
        if not all(isinstance(n, int) and not isinstance(n, bool) for n in steps):
            return False
        if not _is_metrics(message.get("metrics")):
            return False
    memory = message.get("memory")
    return (
        isinstance(message.get("phase"), str | None)
        and isinstance(message.get("say", ""), str)
        and isinstance(memory, int | None)
    )


def _is_metrics(metrics: object) -> bool:
    return isinstance(metrics, Mapping) and all(isinstance(value, int | float) for value in metrics.values())
