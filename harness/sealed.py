"""Records on disk with a digest of their own text, so that a digit that flipped is not read as a figure.

A sealed file is JSON whose last member, `seal`, is the digest of the text without it.
"""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from typing import TypeVar

from harness.records import Record
from harness.redact import by_value
from harness.whole_file import write_atomically

R = TypeVar("R", bound=Record)
_SEAL = re.compile(r',\n "seal": "([0-9a-f]{32})"\n}\Z')


class SealBroken(ValueError):
    """The text is not the one that was written."""

    def __init__(self) -> None:
        super().__init__("it was changed after it was written")


def write_sealed(path: Path, record: Record) -> None:
    """Write all of `record` with its seal or nothing, without secrets."""
    text = by_value(record.model_dump_json(indent=1))
    seal = f',\n "seal": "{_digest(text)}"\n}}'
    write_atomically(path, text.removesuffix("\n}") + seal)


def opened(content: bytes) -> str:
    """The record's JSON; raises SealBroken where it is not what was sealed.

    Text without a seal is an earlier version's, and is taken as it is.
    """
    text = content.decode("utf-8")
    seal = _SEAL.search(text)
    if seal is None:
        return text
    record = text[: seal.start()] + "\n}"
    if _digest(record) != seal[1]:
        raise SealBroken
    return record


def read_sealed(path: Path, model: type[R]) -> R:
    """The record in a file; raises OSError, or ValueError where it is damaged or no such record."""
    return model.model_validate_json(opened(path.read_bytes()))


def _digest(text: str) -> str:
    return hashlib.blake2b(text.encode("utf-8"), digest_size=16).hexdigest()
