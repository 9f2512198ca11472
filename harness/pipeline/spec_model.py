"""What settings are made of: their base class, names, and numbers within bounds."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal, get_args

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationInfo,
    field_validator,
)
from pydantic_core import PydanticCustomError

PLAIN = re.compile(r"\w[\w.+-]{0,79}")
"""Names that files, folders and trackers can have: no separators, no blanks, nothing that leads elsewhere."""


def plain_name(name: str) -> str:
    """The name; raises ValueError for one that could lead elsewhere or is taken."""
    if not PLAIN.fullmatch(name) or name in RESERVED:
        shown = repr(name if len(name) <= 40 else f"{name[:37]}...")
        raise ValueError(
            f"{shown} is no plain name; use letters, digits, ., _, + and -, at most 80, beginning with a "
            f"letter or digit, and none of {', '.join(RESERVED)}"
        )
    return name


RESERVED = ("base", "latest", "stages", "cache")
"""What cells of the starting model and folders of the runs are called."""
Name = Annotated[str, AfterValidator(plain_name)]


def _named(source: str) -> str:
    if not source.strip():
        raise PydanticCustomError("string_too_short", "blank")
    return source


Source = Annotated[str, AfterValidator(_named)]
SEEDS = 2**32
"""What numpy and torch both take are the whole numbers below this."""
Seed = Annotated[int, Field(ge=0, lt=SEEDS)]
Positive = Annotated[float, Field(gt=0)]
NonNegative = Annotated[float, Field(ge=0)]
Share = Annotated[float, Field(ge=0, le=1)]


def _as_yaml_reads_it(value: Any) -> Any:
    """YAML takes a bare on or off for true or false."""
    return {True: "on", False: "off"}[value] if isinstance(value, bool) else value


Switch = Annotated[Literal["auto", "on", "off"], BeforeValidator(_as_yaml_reads_it)]
AutoOrOff = Annotated[Literal["auto", "off"], BeforeValidator(_as_yaml_reads_it)]


class SpecModel(BaseModel):
    """Base of everything read from YAML: unknown keys, endless numbers, and true for 1, are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True, allow_inf_nan=False)

    @field_validator("*", mode="before")
    @classmethod
    def _no_switch_is_a_number(cls, value: Any, info: ValidationInfo) -> Any:
        field = cls.model_fields[str(info.field_name)]
        if _holds_a_switch(value) and not _takes_switches(field.annotation):
            raise PydanticCustomError("switch", "true and false are no value here")
        return value


def _holds_a_switch(value: Any) -> bool:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return isinstance(value, bool) or any(map(_holds_a_switch, inner))


def _takes_switches(annotation: Any) -> bool:
    """Whether true and false may stand there; what is a mapping of its own looks after itself."""
    own = isinstance(annotation, type) and issubclass(annotation, BaseModel)
    named = "off" in get_args(annotation)
    return own or named or annotation in (bool, Any) or any(map(_takes_switches, get_args(annotation)))
