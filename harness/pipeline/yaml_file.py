"""YAML with a memory of where each key stood, so that an error can name file and line."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from harness.errors import UserError

KeyPath = tuple[str, ...]
MOST_VALUES = 100_000
"""Of a file, its anchors written out: a comparison has a few hundred."""


@dataclass(frozen=True)
class Document:
    """Parsed YAML and the line of every key: `lines[("stages", "dpo")] == 12`."""

    path: str
    data: dict[str, Any]
    lines: dict[KeyPath, int]

    def where(self, key: KeyPath) -> str:
        """`file:line` of `key`, or of its closest ancestor."""
        while key and key not in self.lines:
            key = key[:-1]
        line = self.lines.get(key)
        return f"{self.path}:{line}" if line else self.path


class _UniqueKeys(yaml.SafeLoader):
    """YAML lets the last of two equal keys win silently; here it is an error. So is a day of no month."""

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        try:
            return super().construct_object(node, deep)
        except (ValueError, TypeError, AttributeError, LookupError):
            kind = node.tag.rpartition(":")[2]
            problem = f"{str(node.value)[:40]} is no {kind}"
            raise yaml.constructor.ConstructorError(None, None, problem, node.start_mark) from None


def _mapping(loader: _UniqueKeys, node: yaml.MappingNode) -> dict[str, Any]:
    seen: set[str] = set()
    for key_node, _ in node.value:
        key = str(key_node.value)
        if key in seen:
            raise yaml.constructor.ConstructorError(
                None, None, f"the key {key} stands twice", key_node.start_mark
            )
        seen.add(key)
    loader.flatten_mapping(node)
    return loader.construct_mapping(node, deep=True)  # type: ignore[return-value]


_UniqueKeys.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _mapping)


def read(path: Path) -> Document:
    """Parse `path`; raises UserError with file and line for what is not a YAML mapping."""
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise UserError(
            f"cannot be read ({error.strerror})", where=str(path), remedy="check the path"
        ) from error
    except UnicodeDecodeError as error:
        raise UserError("is not UTF-8 text", where=str(path), remedy="save it as UTF-8") from error
    lines: dict[KeyPath, int] = {}
    try:
        loader = _UniqueKeys(text)
        node = loader.get_single_node()
        data = None if node is None else loader.construct_document(node)
        if node is not None:
            _collect_lines(node, (), lines, path)
    except RecursionError:
        raise UserError(
            "is nested too deep", where=str(path), remedy="a comparison has at most ten levels"
        ) from None
    except yaml.YAMLError as error:
        line, problem = _fault(error, text)
        raise UserError(
            f"not valid YAML: {problem}", where=f"{path}:{line}", remedy="mend this line"
        ) from error
    if not isinstance(data, dict) or node is None:
        raise UserError("holds no keys", where=str(path), remedy="write `key: value` lines")
    return Document(str(path), data, lines)


def _fault(error: yaml.YAMLError, text: str) -> tuple[int, str]:
    """The line of a mistake, and what it is."""
    if isinstance(error, yaml.reader.ReaderError):
        character = text[error.position : error.position + 1]
        return text.count("\n", 0, error.position) + 1, f"the character {character!r} cannot stand there"
    mark, context = getattr(error, "problem_mark", None), getattr(error, "context", None)
    problem = str(getattr(error, "problem", None) or "it cannot be parsed")
    if problem.startswith("but ") and context:
        problem = f"{context}, {problem}"
    return (mark.line + 1 if mark else 1), problem


def _collect_lines(node: yaml.Node, prefix: KeyPath, lines: dict[KeyPath, int], file: Path) -> None:
    if len(lines) > MOST_VALUES:
        raise UserError(
            f"its anchors stand for more than {MOST_VALUES:,} values",
            where=str(file),
            remedy="write out what is meant",
        )
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            path = (*prefix, str(key.value))
            lines[path] = key.start_mark.line + 1
            _collect_lines(value, path, lines, file)
    elif isinstance(node, yaml.SequenceNode):
        for index, value in enumerate(node.value):
            path = (*prefix, str(index))
            lines[path] = value.start_mark.line + 1
            _collect_lines(value, path, lines, file)
