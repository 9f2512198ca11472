"""The notebook in docs/ runs from top to bottom, and is committed without outputs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

NOTEBOOK = Path(__file__).parents[2] / "docs" / "notebook.ipynb"


@pytest.fixture
def notebook() -> Any:
    import nbformat

    return nbformat.read(NOTEBOOK, as_version=4)


def test_the_notebook_is_valid_and_holds_no_outputs(notebook: Any) -> None:
    import nbformat

    nbformat.validate(notebook)
    assert not any(cell.get("outputs") or cell.get("execution_count") for cell in notebook.cells)


@pytest.mark.slow
def test_every_cell_runs_and_shows_what_it_says(notebook: Any, tmp_path: Path) -> None:
    from nbclient import NotebookClient

    NotebookClient(notebook, timeout=280, resources={"metadata": {"path": str(tmp_path)}}).execute()
    shown = [_shown(cell) for cell in notebook.cells if cell.cell_type == "code"]
    page = tmp_path / "runs" / "latest" / "report" / "report.html"
    assert page.is_file()
    run, scores, costs, evidence, table, report, same = shown[1:]
    assert "<b>" in run
    assert "report.html" in run
    assert all(f"<th>{arm}</th>" in scores for arm in ("base", "orpo", "sft", "sft_dpo"))
    assert "wall_seconds" in costs
    assert "preference.accuracy" in evidence
    assert "training time (s)" in table
    assert "report/report.html" in report
    assert same == "True"


def _shown(cell: Any) -> str:
    """The last expression of a cell, as HTML where it has that."""
    results = [o.data for o in cell.outputs if o.output_type == "execute_result"]
    return str(results[-1].get("text/html") or results[-1]["text/plain"]) if results else ""
