"""Settings hold no keys and passwords: they stand in every record, report and tracker."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from harness.errors import UserError
from harness.pipeline.spec import ComparisonSpec
from harness.pipeline.yaml_file import KeyPath
from harness.redact import redact


def check_no_secrets(spec: ComparisonSpec, where: Callable[[KeyPath], str | None] = lambda key: None) -> None:
    """Raise UserError for the first setting that holds one; the message names the setting alone."""
    for key, text in _texts(spec.model_dump(mode="json")):
        if redact(text) != text:
            raise UserError(
                f"{'.'.join(key)} holds a key or a password, and settings stand in every record",
                where=where(key),
                remedy="put it into an environment variable (HF_TOKEN for the hub, for judges the one that "
                "api_key_env names), and take it out here",
            )


def _texts(one: Any, key: KeyPath = ()) -> Iterator[tuple[KeyPath, str]]:
    if isinstance(one, str):
        yield key, one
    elif isinstance(one, Mapping):
        for name, value in one.items():
            yield from _texts(value, (*key, str(name)))
    elif isinstance(one, list):
        for number, value in enumerate(one):
            yield from _texts(value, (*key, str(number)))
