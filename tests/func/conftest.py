"""A stage that one fresh interpreter ran, for all that look at its result."""

from __future__ import annotations

import pytest
from func.test_stages import run, start

from harness.records import StageResult


@pytest.fixture(scope="session")
def fresh(tmp_path_factory: pytest.TempPathFactory) -> StageResult:
    """The result of `start`'s stage."""
    result: StageResult = run(start(tmp_path_factory.mktemp("fresh")))
    return result
