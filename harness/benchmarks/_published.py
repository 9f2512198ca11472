"""Files that other programs published, read for replay: what is malformed has one message with its place."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict

from harness.data.files import short
from harness.errors import UserError
from harness.pipeline.spec_model import SEEDS, plain_name
from harness.pipeline.validate import validate

M = TypeVar("M", bound=BaseModel)
Where = Callable[[int], str]
DIGITS = len(str(SEEDS))


class PublishedRow(BaseModel):
    """What has to be in a published row; text is no number, and what else the row holds is left alone."""

    model_config = ConfigDict(extra="ignore", strict=True)


def read_json(path: Path, remedy: str) -> Any:
    """The content of a JSON file; raises UserError with `remedy` where there is none."""
    try:
        return json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise UserError(f"cannot be read ({short(error)})", where=str(path), remedy=remedy) from None


def checked_rows(model: type[M], rows: list[dict[str, Any]], where: Where) -> list[M]:
    """Every row as a `model`; raises UserError for the first that is none."""
    return [validate(model, row, where=lambda key, i=index: where(i)) for index, row in enumerate(rows)]  # type: ignore[misc]


def checked_arm(name: str, where: Path, remedy: str) -> str:
    """An arm's name, `arm@seed` for one of several seeds: plain, as files of its scores are named by it."""
    arm, has_seed, seed = name.partition("@")
    try:
        plain_name(arm)
    except ValueError as error:
        fact, _, rule = str(error).partition("; ")
        raise UserError(f"arm {fact}", where=str(where), remedy=f"{remedy}: {rule}") from None
    if has_seed and not (seed.isascii() and seed.isdigit() and len(seed) <= DIGITS and int(seed) < SEEDS):
        raise UserError(
            f"{seed[:40]!r} in {name[:80]!r} is no seed",
            where=str(where),
            remedy=f"{remedy}: ARM@SEED, the seed a whole number below {SEEDS}",
        )
    return name
