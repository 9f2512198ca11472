"""What docs/reuse.md lists is what the code lists."""

from __future__ import annotations

import re
from pathlib import Path

from harness.pipeline.resolved import VARIABLES, VARIABLES_OF_PACKAGES
from harness.records import Covers

TEXT = (Path(__file__).parents[3] / "docs" / "reuse.md").read_text(encoding="utf-8")


def test_every_variable_is_listed() -> None:
    listed = set(re.findall(r"`([A-Z][A-Z0-9_]+)`", TEXT.partition("## The variables")[2]))
    assert listed - {"TYPE_CHECKING"} == {
        *VARIABLES,
        *(name for names in VARIABLES_OF_PACKAGES.values() for name in names),
    }


def test_every_part_is_listed() -> None:
    table = TEXT.partition("## What a digest covers")[2].partition("\n- ")[0]
    assert set(re.findall(r"`([a-z]+)`", table)) == set(Covers.model_fields) - {"beside"}
