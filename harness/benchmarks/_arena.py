"""Prompts of a file that arms answer for people to judge: nothing is scored (`harness arena --prompts`)."""

from __future__ import annotations

from pathlib import Path

from harness.benchmarks import CheckContext
from harness.data.prompts import read_prompts
from harness.generate import Prompt
from harness.pipeline.named import Named
from harness.pipeline.spec_model import SpecModel


class Config(SpecModel):
    """`prompts` is a .json, .jsonl, .parquet or .csv file of rows with `prompt`, text or messages."""

    prompts: str


def files(config: Config) -> list[Named]:
    """The prompts: others are answered anew."""
    return [Path(config.prompts)]


def check(config: Config, context: CheckContext) -> None:
    """Raise UserError for a file that cannot be read as prompts."""
    read_prompts(Path(config.prompts))


def prompts(config: Config, prepared: Path) -> list[Prompt]:
    """Every conversation of the file once."""
    found = read_prompts(Path(config.prompts))
    return [Prompt(id=id, benchmark="_arena", messages=messages) for id, messages in found.items()]
