"""Cases of which some are fast tests, and all are long ones."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest


def few(cases: Iterable[Any], *fast: Any) -> list[Any]:
    """`cases` for `parametrize`: those in `fast` at every `make test`, the others by `make test-long`."""
    every = list(cases)
    assert all(one in every for one in fast), "a fast case is none of the cases"
    return [one if one in fast else _slow(one) for one in every]


def _slow(case: Any) -> Any:
    values = case if isinstance(case, tuple) else (case,)
    return pytest.param(*values, marks=pytest.mark.slow)
