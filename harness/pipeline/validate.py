"""Pydantic's complaints in the user's words: where, what, what to do."""

from __future__ import annotations

from collections.abc import Callable, Sequence
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
}


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
        problem = (unknown or problems)[0]
        key = (*prefix, *(str(part) for part in problem["loc"]))
        raise _explain(model, problem, key, prefix, where(key)) from None


def _explain(
    model: type[BaseModel], problem: Any, key: KeyPath, prefix: KeyPath, where: str | None
) -> UserError:
    dotted = ".".join(key)
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
        place = f"{dotted}: " if dotted else ""
        return UserError(f"{place}{fact}", remedy=remedy or "change one of them", where=where)
    remedy = _REMEDIES.get(kind, problem["msg"]).format(**context)
    return UserError(f"{dotted} is {_shown(given)}", remedy=remedy, where=where)


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _keys_at(model: type[BaseModel], path: Sequence[str]) -> list[str]:
    """The keys that may stand at `path` below `model`."""
    current = model
    for part in path:
        field = next((f for n, f in current.model_fields.items() if part in (n, f.alias)), None)
        inner = _model_in(field.annotation) if field else None
        if inner is None:
            break
        current = inner
    return [f.alias or name for name, f in current.model_fields.items()]


def _model_in(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    for part in getattr(annotation, "__args__", ()):
        model = _model_in(part)
        if model:
            return model
    return None
