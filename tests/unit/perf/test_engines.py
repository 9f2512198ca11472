"""What engines take is measured in turns, on answers that are compared."""

from __future__ import annotations

import json
import sys
from typing import Any

import pytest

from perf import engines


def test_each_engine_is_timed_on_both_kinds_of_prompt(monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    small = ["--prompts", "6", "--tokens", "4", "--batch", "2", "--repeats", "1", "--stops", "3"]
    monkeypatch.setattr(sys, "argv", ["engines.py", *small])
    engines.main()
    found = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert set(found) == {"embedded world", "random"}
    for rows in found.values():
        assert set(rows) == {"padded", "continuous"}
        assert rows["padded"]["over_padded"] == 1
        assert all(row["equal"] == 1 and row["processor_seconds"] > 0 for row in rows.values())
        assert rows["continuous"]["tokens"] == rows["padded"]["tokens"]


def test_answers_that_differ_are_counted() -> None:
    assert engines._equal({0: [4], 1: [5, 6]}, {0: [4], 1: [5, 7]}) == 0.5
