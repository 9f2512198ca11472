"""What was taken out of a finished stage to make room, noted in its folder, so that it is no damage."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from pydantic import ValidationError

from harness.artifacts import GONE
from harness.records import Record

FILE = "cleaned.json"


class Cleaned(Record):
    """When it was done (UTC), and how many bytes each folder held that is gone since."""

    at: str
    folders: dict[str, int]

    def covers(self, name: str) -> bool:
        """Whether a file or output of the stage lay in one of them."""
        return name.partition("/")[0] in self.folders


def read_cleaned(folder: Path) -> Cleaned | None:
    """The note in a stage's folder, or None."""
    try:
        return Cleaned.model_validate_json((folder / FILE).read_bytes())
    except (OSError, ValidationError):
        return None


def not_cleaned(folder: Path, damage: Mapping[str, str]) -> dict[str, str]:
    """`damage` without the files that were cleaned away."""
    note = read_cleaned(folder) if damage else None
    if note is None:
        return dict(damage)
    return {file: what for file, what in damage.items() if what != GONE or not note.covers(file)}


def outputs_are_there(folder: Path, outputs: Iterable[str]) -> bool:
    """Whether all outputs stand in the folder but those that were cleaned away."""
    note = read_cleaned(folder)
    return note is not None and all((folder / one).exists() or note.covers(one) for one in outputs)
