"""Suites of lm-eval tasks: `pipelines/suites/<name>.yaml`, or a file of yours."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from harness.errors import UserError, unknown_name
from harness.pipeline.load import SHIPPED
from harness.pipeline.spec import SpecModel
from harness.pipeline.validate import validate
from harness.pipeline.yaml_file import read

WHERE = "benchmarks.lm_eval.suite"


class Task(SpecModel):
    """A task or group of lm-eval; `num_fewshot` None is the task's own number."""

    task: str
    num_fewshot: Annotated[int, Field(ge=0)] | None = None


class Suite(SpecModel):
    """Tasks that are reported together."""

    kind: Literal["suite"]
    name: str
    description: str = ""
    tasks: Annotated[list[Task], Field(min_length=1)]


def load_suite(name: str) -> list[Task]:
    """The tasks of a suite given by name or file; raises UserError for an unknown or malformed one."""
    document = read(_find(name))
    return validate(Suite, document.data, where=document.where).tasks


def _find(name: str) -> Path:
    if name.endswith((".yaml", ".yml")) or "/" in name:
        if not Path(name).is_file():
            raise UserError("no such file", where=name, remedy="give the path of a suite file")
        return Path(name)
    folders = (Path("pipelines") / "suites", SHIPPED / "suites")
    for folder in folders:
        if (folder / f"{name}.yaml").is_file():
            return folder / f"{name}.yaml"
    known = sorted({p.stem for folder in folders for p in folder.glob("*.yaml")})
    raise unknown_name("suite", name, known, where=WHERE)
