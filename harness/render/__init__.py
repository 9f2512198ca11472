"""Report formats, one file each: `render(report, folder) -> paths`. They know tables.py alone."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol, cast

from harness import registry
from harness.tables import Report


class Format(Protocol):
    """What every format's module has."""

    def render(self, report: Report, folder: Path) -> list[Path]:
        """Write the report into `folder` and return what was written."""


def load_format(name: str) -> Format:
    """The format called `name`; raises UserError for an unknown one."""
    return cast(Format, registry.load("formats", name))
