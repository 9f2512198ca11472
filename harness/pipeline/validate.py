"""Pydantic's complaints in the user's words: where, what, what to do."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from harness.errors import UserError, nearest
from harness.pipeline.yaml_file import KeyPath

M = TypeVar("M", bound=BaseModel)

_REMEDIES: dict[str, str] = {
    "greater_than": "give a number above {gt}",
    "greater_than_equal": "give a number of at least {ge}",
    "less_than": "give a number below {lt}",
    "less_than_equal": "give a number of at most {le}",
    "literal_error": "give one of {expected}",
    "too_short": "give at least {min_length}",
    "too_long": "give at most {max_length}",
    "string_too_short": "give a name, a folder or a file",
    "finite_number": "give a finite number",
    "int_parsing_size": "give a smaller number",
    "bool_parsing": "give true or false",
    "bool_type": "give true or false",
    "int_parsing": "give a whole number",
    "int_type": "give a whole number",
    "int_from_float": "give a whole number",
    "float_parsing": "give a number (YAML reads 1e-5 as text: write 1.0e-5)",
    "float_type": "give a number",
    "string_type": "give text (quote it)",
    "list_type": "give a list",
    "dict_type": "give a mapping",
    "model_type": "give a mapping",
    "model_attributes_type": "give a mapping",
    "date_parsing": "give a day such as 2026-01-31",
    "date_from_datetime_parsing": "give a day such as 2026-01-31",
    "date_from_datetime_inexact": "give a day such as 2026-01-31",
    "date_type": "give a day such as 2026-01-31",
    "switch": "give a value",
}
_BRANCH = re.compile(r"str|int|constrained-int|float|bool|\[key\]|[\w-]+\[.*\]")
"""What pydantic adds to a key's path for the part of a union that it tried, and for a mapping's key."""


def validate(
    model: type[M],
    data: Any,
    *,
    prefix: KeyPath = (),
    where: Callable[[KeyPath], str | None] = lambda key: None,
) -> M:
    """`data` as a `model`; raises UserError for the first thing that is wrong in it.

    Unknown keys come first, since a misspelt key is also a missing one.
    `prefix` is where `data` stands in the file, `where` turns a key's path into file and line.
    """
    try:
        return model.model_validate(data)
    except ValidationError as error:
        problems = error.errors()
        unknown = [p for p in problems if p["type"] == "extra_forbidden"]
        problem = _deepest(model, unknown or problems)
        key = (*prefix, *_keys_of(model, problem["loc"]))
        alike = [
            p for p in problems if p["type"] in _REMEDIES and _keys_of(model, p["loc"]) == key[len(prefix) :]
        ]
        raise _explain(model, problem, key, prefix, where(key), alike) from None


def _deepest(model: type[BaseModel], problems: Sequence[Any]) -> Any:
    """The first complaint, or what a later one says of something within it: the other part of a union."""
    first = _keys_of(model, problems[0]["loc"])
    within = [p for p in problems if _keys_of(model, p["loc"])[: len(first)] == first]
    return max(within, key=lambda problem: len(_keys_of(model, problem["loc"])))


def _keys_of(model: type[BaseModel], place: Sequence[str | int]) -> KeyPath:
    """The keys of a complaint's place, without the parts of unions that pydantic names."""
    parts = tuple(map(str, place))
    return tuple(part for i, part in enumerate(parts) if not _is_branch(model, parts[:i], part))


def _is_branch(model: type[BaseModel], above: KeyPath, part: str) -> bool:
    named = _BRANCH.fullmatch(part) is not None or part.endswith(("Spec", "Config"))
    return named and part not in _keys_at(model, above)


def _explain(
    model: type[BaseModel],
    problem: Any,
    key: KeyPath,
    prefix: KeyPath,
    where: str | None,
    alike: Sequence[Any],
) -> UserError:
    dotted = ".".join(key) or "it"
    kind, context, given = problem["type"], problem.get("ctx", {}), problem.get("input")
    if kind == "extra_forbidden":
        known = _keys_at(model, key[len(prefix) : -1])
        guess = nearest(key[-1], known)
        hint = f'did you mean "{guess}"?' if guess else f"known here: {', '.join(sorted(known))}"
        return UserError(f"unknown key {dotted}", remedy=hint, where=where)
    if kind == "missing":
        return UserError(f"{dotted} is missing", remedy=f"set {dotted}", where=where)
    if kind == "value_error":
        fact, _, remedy = str(context.get("error", problem["msg"])).partition("; ")
        place = f"{dotted}: " if key else ""
        return UserError(f"{place}{fact}", remedy=remedy or "change one of them", where=where)
    remedies = [_REMEDIES[p["type"]].format(**_in_words(p.get("ctx", {}))) for p in alike]
    remedy = ", or ".join(dict.fromkeys(remedies)) or problem["msg"]
    if " or " not in remedy:
        remedy = remedy.replace("give one of ", "give ")
    return UserError(f"{dotted} is {shown(given)}", remedy=remedy, where=where)


def _in_words(context: Mapping[str, Any]) -> dict[str, Any]:
    """Limits as a user writes them."""
    return {name: f"{value:g}" if isinstance(value, float) else value for name, value in context.items()}


def shown(value: Any) -> str:
    """A value as YAML has it, or the beginning of a long one."""
    text = {None: "null", True: "true", False: "false"}[value] if _is_word(value) else repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _is_word(value: Any) -> bool:
    return value is None or isinstance(value, bool)


def _keys_at(model: type[BaseModel], path: Sequence[str]) -> list[str]:
    """The keys that may stand at `path` below `model`."""
    current = model
    for part in path:
        field = next((f for n, f in current.model_fields.items() if part in (n, f.alias)), None)
        inner = _model_in(field.annotation) if field else None
        # Places in lists and keys of mappings are no fields.
        current = inner or current
    return [f.alias or name for name, f in current.model_fields.items()]


def _model_in(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    for part in getattr(annotation, "__args__", ()):
        model = _model_in(part)
        if model:
            return model
    return None
