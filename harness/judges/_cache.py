"""Replies of an API by what was asked: a reply that was received is never asked for again."""

from __future__ import annotations

import hashlib
import json
import os
import threading
from pathlib import Path
from typing import Any


class ReplyCache:
    """One file a reply, named by the digest of its request, written at once and whole."""

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder

    def key(self, request: dict[str, Any]) -> str:
        """sha256 of the request as canonical JSON: 64 hex digits."""
        text = json.dumps(request, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()

    def get(self, key: str) -> dict[str, Any] | None:
        """The reply, or None; a file that cannot be read counts as absent."""
        if self._folder is None:
            return None
        try:
            entry = json.loads((self._folder / key[:2] / f"{key}.json").read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        reply: dict[str, Any] | None = entry.get("reply") if isinstance(entry, dict) else None
        return reply

    def put(self, key: str, request: dict[str, Any], reply: dict[str, Any]) -> None:
        """Keep a reply with its request beside it."""
        if self._folder is None:
            return
        path = self._folder / key[:2] / f"{key}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(f".{key}.{os.getpid()}.{threading.get_ident()}")
        temporary.write_text(json.dumps({"request": request, "reply": reply}), encoding="utf-8")
        os.replace(temporary, path)
