"""Tables on terminals that are too narrow for them, and in files."""

from __future__ import annotations

import io

import pytest
from rich.console import Console
from rich.table import Table

from harness.running.fitting import print_table

ROWS = [("sft", "sft, sft_dpo", "0.1562 TFLOP"), ("orpo", "", "0.3226 TFLOP")]


def shown(width: int, *, terminal: bool) -> str:
    table = Table(title="Still to run", box=None)
    for heading in ("stage", "arms", "FLOPs a run"):
        table.add_column(heading)
    for row in ROWS:
        table.add_row(*row)
    heard = io.StringIO()
    print_table(table, Console(file=heard, width=width, force_terminal=terminal, color_system=None))
    return heard.getvalue()


def test_what_fits_is_a_table() -> None:
    lines = shown(80, terminal=True).splitlines()
    assert len(lines) == 2 + len(ROWS)


@pytest.mark.parametrize("width", [20, 30])
def test_a_narrow_terminal_gets_a_list_a_row_without_empty_cells(width: int) -> None:
    text = shown(width, terminal=True)
    assert all(len(line) <= width for line in text.splitlines())
    for word in " ".join(cell for row in ROWS for cell in row).split():
        assert word in text
    assert text.count("arms") == 1


def test_a_file_gets_the_whole_table() -> None:
    assert any(
        "sft, sft_dpo" in line and "0.1562 TFLOP" in line for line in shown(20, terminal=False).splitlines()
    )
