"""What README and its neighbours promise is there: commands, targets, variables, files, the version."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

import harness
from harness.cli import app

ROOT = Path(__file__).parents[2]
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
COMMANDS = {c.name or c.callback.__name__.strip("_") for c in app.registered_commands if c.callback}


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_every_command_of_a_page_exists(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z][a-z -]*):", MAKEFILE, flags=re.MULTILINE))
    known = {name for line in targets for name in line.split()}
    code = "\n".join(
        re.findall(r"```[a-z]*\n(.*?)```", text, flags=re.DOTALL) + re.findall(r"`([^`\n]+)`", text)
    )
    assert set(re.findall(r"^make ([a-z-]+)", code, flags=re.MULTILINE)) <= known
    assert set(re.findall(r"\bharness ([a-z]+)\b(?!\.)", code)) <= COMMANDS
    for line in re.findall(r"^make .*$", code, flags=re.MULTILINE):
        for variable in re.findall(r"\b([A-Z_]+)=", line.partition("#")[0]):
            assert re.search(rf"\b{variable}\b", MAKEFILE), line


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_every_file_of_a_page_exists(page: Path) -> None:
    named = re.findall(r"`((?:docs|harness|perf|pipelines|reports|tests|\.ci)/[\w./-]*)`", page.read_text())
    missing = [path for path in named if not (ROOT / path).exists()]
    assert missing == []


def test_every_variable_of_the_docs_is_a_flag_of_compare() -> None:
    text = (ROOT / "docs" / "commands.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `([A-Z_]+)` \| `(--[a-z-]+)` \|", text, flags=re.MULTILINE)
    assert len(rows) > 5
    command = [sys.executable, "-m", "harness", "compare", "--help"]
    shown = subprocess.run(command, check=True, capture_output=True, text=True, cwd=ROOT, timeout=60).stdout
    for variable, flag in rows:
        assert flag == f"--{variable.lower().replace('_', '-')}"
        assert flag in shown
        assert re.search(rf"\b{variable}\b", MAKEFILE)


def test_the_citation_has_what_its_format_asks_for_and_this_version() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert {"cff-version", "message", "title", "authors"} <= set(citation)
    assert citation["version"] == harness.__version__
