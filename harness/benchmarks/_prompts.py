"""Prompts of the prepared test split, each once."""

from __future__ import annotations

import json
from pathlib import Path

from harness.benchmarks import read_prepared_test
from harness.generate import Prompt


def test_prompts(prepared: Path, benchmark: str, limit: int | None) -> list[Prompt]:
    """One prompt for each distinct conversation of the test split, in its order."""
    found: dict[str, Prompt] = {}
    for row in read_prepared_test(prepared):
        if row["prompt"] not in found:
            found[row["prompt"]] = Prompt(
                id=row["id"],
                benchmark=benchmark,
                messages=json.loads(row["prompt"]),
                reference=row["chosen"],
            )
    prompts = list(found.values())
    return prompts if limit is None else prompts[:limit]
