"""Forms in which a trained model can be exported, one file each: how it is written and loaded again.

A form has `ABOUT`, `write(source, to, variant)` and `load(folder)`. `source` is a folder of whole weights as
transformers saves them, with the tokenizer beside them. A variant stands behind the name and a colon:
`gguf:q8_0`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol, cast

from harness import registry
from harness.errors import UserError, unknown_name


@dataclass(frozen=True)
class FormAbout:
    """What a form is, in words; the packages that writing and loading it need, by the extra that brings them;
    its variants, the first of which is meant where none is named. `rounds`: whether weights are rounded."""

    text: str
    packages: tuple[str, ...] = ()
    extra: str | None = None
    variants: tuple[str, ...] = ()
    rounds: bool = True


class FormModule(Protocol):
    """What every form's module has."""

    ABOUT: FormAbout

    def write(self, source: Path, to: Path, variant: str | None) -> None:
        """A model folder in this form; raises UserError for a model that it cannot hold."""

    def load(self, folder: Path) -> Any:
        """The model of a folder that `write` made, ready to answer."""


@dataclass(frozen=True)
class Form:
    """A form with its variant."""

    name: str
    variant: str | None
    module: FormModule

    def __str__(self) -> str:
        return f"{self.name}:{self.variant}" if self.variant else self.name


def load_form(name: str, *, where: str | None = None) -> Form:
    """The form called `name`, such as `int8` or `gguf:q8_0`; imports nothing heavy.

    Raises UserError for an unknown form or variant, and where a package is missing.
    """
    plain, _, variant = name.partition(":")
    module = cast(FormModule, registry.load("forms", plain, where=where))
    about = module.ABOUT
    if variant and variant not in about.variants:
        raise unknown_name(f"variant of {plain}", variant, about.variants or ("none",), where=where)
    _check_packages(plain, about.packages, about.extra, where)
    return Form(plain, variant or next(iter(about.variants), None), module)


def _check_packages(name: str, packages: Sequence[str], extra: str | None, where: str | None) -> None:
    missing = [package for package in packages if find_spec(package) is None]
    if missing:
        raise UserError(
            f"the form {name} needs {', '.join(missing)}",
            where=where,
            remedy=f"install it by pip install 'orpo-harness[{extra}]'",
        )
