"""Every command and file of the docs, given to the real command line: names, flags and settings are known."""

from __future__ import annotations

import shlex
import subprocess
from pathlib import Path
from typing import Any

import making
import pytest
import typer
from documented import PAGES, blocks, lines

from harness.cli import app
from harness.cli.options import words
from harness.judges import load_judge
from harness.pipeline.load import find_comparison, load_comparison
from harness.pipeline.overrides import Overrides
from harness.pipeline.spec import ComparisonSpec

ROOT = Path(__file__).parents[2]
SPECS = ("compare", "plan", "cost")


def of_make(line: str, folder: Path) -> list[str] | None:
    """The words with which a call of make would call `harness`; None where it calls something else."""
    words_of_make = shlex.split(line)[1:]
    if not set(words_of_make) & set(making.TARGETS):
        subprocess.run(["make", "-n", *words_of_make], cwd=ROOT, capture_output=True, check=True, timeout=60)
        return None
    done, said = making.make(words_of_make, folder)
    assert done.returncode == 0, done.stderr
    return said


MADE_THERE = ("mine.yaml", "latest", "round2/comparison.yaml")
"""Comparisons that users write, or that another command writes."""


@pytest.mark.parametrize("line", lines())
def test_every_command_can_be_given(line: str, tmp_path: Path) -> None:
    if line.startswith("make "):
        said = of_make(line, tmp_path / "bin")
    else:
        said = shlex.split(line.partition("harness")[2])
    if said is not None:
        name, *arguments = said
        given = parsed(name, arguments)
        if name in SPECS and given["comparison"] not in MADE_THERE:
            load(given, FILES.get(str(given["comparison"])), tmp_path)


def parsed(name: str, arguments: list[str]) -> dict[str, Any]:
    """The parameters of a command; a usage error is raised where a flag is unknown."""
    group: Any = typer.main.get_command(app)
    context = group.commands[name].make_context(name, list(arguments))
    return dict(context.params)


def load(given: dict[str, Any], text: str | None, folder: Path) -> ComparisonSpec:
    """Read the comparison, or the file of the docs, with its overrides; a UserError names what is wrong."""
    sets = tuple(given.get("set_") or ())
    chosen = (words(given.get("arms"), "--arms"), given.get("seeds"), words(given.get("score"), "--score"))
    overrides = Overrides(given.get("model"), given.get("data"), *chosen, sets)
    if text is None:
        return load_comparison(find_comparison(given["comparison"], model=given.get("model")), overrides)
    (folder / "docs.yaml").write_text(text)
    return load_comparison(folder / "docs.yaml", overrides)


FILES = {
    text.partition("\n")[0].removeprefix("# "): text
    for page in PAGES
    for language, text in blocks(page)
    if language == "yaml" and "kind: comparison" in text
}
"""Comparisons of the docs by the name in their first line."""


@pytest.mark.parametrize("name", FILES)
def test_every_comparison_of_the_docs_is_one(name: str, tmp_path: Path) -> None:
    spec = load({}, FILES[name], tmp_path)
    for settings in spec.benchmarks.values():
        if "judge" in settings:
            load_judge(settings["judge"]).Config.model_validate(settings.get("judge_config", {}))


def test_there_is_something_to_test() -> None:
    assert len(lines()) > 40
    assert len(FILES) >= 1
