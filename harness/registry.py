"""Names of the things a user can choose from, found without importing any of them.

A plug-in is a module: one file in `harness/<group>/`, or an entry point `harness.<group>` of
another package. The file's name is the name in YAML. Files that begin with an underscore are
shared parts of their room and no plug-ins, but for those that a command alone names.
"""

from __future__ import annotations

import functools
import importlib
import pkgutil
from importlib.metadata import entry_points
from pathlib import Path
from types import ModuleType

from harness.errors import unknown_name

GROUPS = {
    "methods": "harness.methods",
    "benchmarks": "harness.benchmarks",
    "judges": "harness.judges",
    "formats": "harness.render",
    "trackers": "harness.tracking",
    "forms": "harness.forms",
}
_SINGULAR = {
    "methods": "method",
    "benchmarks": "benchmark",
    "judges": "judge",
    "formats": "format",
    "trackers": "tracker",
    "forms": "form",
}
_OF_COMMANDS = {"benchmarks": ("_arena",)}
"""Plug-ins that are listed nowhere: `harness arena` has prompts answered by one."""


def names(group: str) -> list[str]:
    """All names of `group`, sorted; imports no plug-in."""
    return sorted(_shipped(group) | set(_outside(group)))


def all_names() -> dict[str, list[str]]:
    """All names of every group; what is installed is read once, which is most of the time this takes."""
    outside = entry_points()
    return {
        group: sorted(_shipped(group) | {e.name for e in outside.select(group=f"harness.{group}")})
        for group in GROUPS
    }


def load(group: str, name: str, *, where: str | None = None) -> ModuleType:
    """The plug-in module `name` of `group`; raises UserError for an unknown name."""
    return importlib.import_module(module_of(group, name, where=where))


def module_of(group: str, name: str, *, where: str | None = None) -> str:
    """The dotted name of a plug-in's module; raises UserError for an unknown name, imports nothing."""
    if name in _shipped(group) or name in _OF_COMMANDS.get(group, ()):
        return f"{GROUPS[group]}.{name}"
    outside = _outside(group)
    if name in outside:
        return outside[name]
    raise unknown_name(_SINGULAR[group], name, names(group), where=where)


def check(group: str, name: str, *, where: str | None = None) -> None:
    """Raise UserError if `name` is not in `group`; imports no plug-in."""
    module_of(group, name, where=where)


@functools.cache
def _shipped(group: str) -> frozenset[str]:
    """What this package has of a group: its folder is read once, and asked for every stage of a plan."""
    room = Path(__file__).parent / GROUPS[group].removeprefix("harness.")
    return frozenset(m.name for m in pkgutil.iter_modules([str(room)]) if not m.name.startswith("_"))


def _outside(group: str) -> dict[str, str]:
    return {e.name: e.value for e in entry_points(group=f"harness.{group}")}
