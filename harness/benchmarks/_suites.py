"""Suites of lm-eval tasks: `pipelines/suites/<name>.yaml`, or a file of yours."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from harness.pipeline.find import find_file
from harness.pipeline.spec_model import SpecModel
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
    document = read(find_file(name, "suite", where=WHERE))
    return validate(Suite, document.data, where=document.where).tasks
