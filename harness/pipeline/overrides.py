"""What the command line says over a comparison file: flags, seeds, and `KEY=VALUE`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import yaml

from harness.errors import UserError
from harness.pipeline.questions_spec import LookSpec
from harness.pipeline.spec import MOST_SEEDS
from harness.pipeline.sweep import Point
from harness.pipeline.tuning_draws import Drawn
from harness.pipeline.yaml_file import KeyPath

DATA_KEPT = (
    *("max_length", "limit", "test_limit", "test_overlap", "validation_fraction", "label_noise"),
    *("chat_template", "template_date", "unknown_token_limit"),
)
"""What a file says of its data that holds for other data too."""


@dataclass(frozen=True)
class Overrides:
    """What the command line says over the file; None leaves the file's word.

    `look` takes the seeds of one of the file's looks alone, and `point` one point of its sweep; `tuned` are
    settings that a search chose, by arm, stage and key, which win over all others.
    """

    model: str | None = None
    data: str | None = None
    arms: Sequence[str] | None = None
    seeds: str | None = None
    score: Sequence[str] | None = None
    sets: Sequence[str] = field(default_factory=tuple)
    look: LookSpec | None = None
    point: Point | None = None
    tuned: Mapping[str, Drawn] | None = None


def apply_overrides(data: dict[str, Any], overrides: Overrides) -> dict[KeyPath, str]:
    """Write the overrides into `data`; returns which flag set which key."""
    sources: dict[KeyPath, str] = {}
    simple: Mapping[str, Any] = {
        "model": overrides.model,
        "arms": list(overrides.arms) if overrides.arms else None,
        "score": list(overrides.score) if overrides.score else None,
        "seeds": parse_seeds(overrides.seeds) if overrides.seeds is not None else None,
    }
    for key, value in simple.items():
        if value is not None:
            data[key] = value
            sources[(key,)] = f"--{key}"
    if overrides.data is not None:
        previous = data.get("data") or {}
        data["data"] = {k: v for k, v in previous.items() if k in DATA_KEPT}
        data["data"]["source"] = overrides.data
        sources[("data", "source")] = "--data"
    for text in overrides.sets:
        key_path = set_field(data, text)
        sources[key_path] = f"--set {'.'.join(key_path)}"
    if overrides.point is not None:
        del data["sweep"]
        for name, given in overrides.point.items():
            path = tuple(name.split("."))
            put(data, path, given)
            sources[path] = f"sweep of {name}"
    return sources


def parse_seeds(text: str) -> list[int]:
    """`5` means seeds 0 to 4; `3,5,8` names them."""
    try:
        numbers = [int(part) for part in text.replace(" ", ",").split(",") if part]
    except ValueError:
        numbers = []
    if not numbers or min(numbers) < 0 or (len(numbers) == 1 and "," not in text and not numbers[0]):
        raise UserError(
            f"--seeds is {_quoted(text)}", remedy="give how many seeds (1 or more), or a list such as 3,5,8"
        )
    if len(numbers) == 1 and "," not in text:
        if numbers[0] > MOST_SEEDS:
            raise UserError(f"--seeds is {text}", remedy=f"give at most {MOST_SEEDS:,} seeds")
        return list(range(numbers[0]))
    if len(set(numbers)) != len(numbers):
        raise UserError(f"--seeds {text} names a seed twice", remedy="name each seed once")
    return numbers


def parse_setting(text: str) -> tuple[KeyPath, Any]:
    """`stages.dpo.beta=0.05` as a key's path and a value; raises UserError for anything else."""
    key, separator, value = text.partition("=")
    path = tuple(part for part in key.strip().split(".") if part)
    if not separator or not path:
        fact = f"--set {_quoted(text)} names no key" if separator else f"--set {_quoted(text)} has no value"
        raise UserError(fact, remedy="write KEY=VALUE, such as stages.dpo.beta=0.05")
    try:
        return path, _number(yaml.safe_load(value))
    except (yaml.YAMLError, RecursionError) as error:
        raise UserError(f"--set {_quoted(text)} is not valid YAML", remedy="quote the value") from error


def _quoted(text: str) -> str:
    """What was given, in quotes where it would not be seen or begins with no letter."""
    shown = text if len(text) <= 60 else f"{text[:57]}..."
    return shown if shown[:1].isalnum() else repr(shown)


def set_field(data: dict[str, Any], text: str) -> KeyPath:
    """Write `KEY=VALUE` into `data`; returns the key's path."""
    path, value = parse_setting(text)
    put(data, path, value)
    return path


def put(data: dict[str, Any], path: KeyPath, value: Any) -> None:
    """Write `value` at a key's path into `data`."""
    here = data
    for part in path[:-1]:
        inner = here.get(part)
        if not isinstance(inner, dict):
            inner = {}
            here[part] = inner
        here = inner
    here[path[-1]] = value


def _number(value: Any) -> Any:
    """YAML 1.1 reads 1e-5 as text; on the command line it is a number."""
    if isinstance(value, str):
        try:
            return float(value)
        except ValueError:
            return value
    return value
