"""Which code a module's results depend on: found from its imports, read and never run.

Imports count wherever they stand, in functions too, but not under `if TYPE_CHECKING`. What is loaded
by name at run time (a stage's kind, a plug-in) is no import: it has to be a root of its own.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from dataclasses import dataclass, field

from harness.running.sources import (
    Source,
    Sources,
    data_files,
    digest_of_bytes,
    has_effects,
    passed_on,
)

OURS = "harness"


@dataclass(frozen=True)
class Code:
    """What a root reaches. `files`: digest by path (`harness/data/load.py`); `modules`: top-level names of
    other distributions."""

    files: dict[str, str] = field(default_factory=dict)
    modules: frozenset[str] = frozenset()


def reached(root: str, sources: Sources, beside: Iterable[str] = ()) -> Code:
    """Everything that importing and calling module `root` can run.

    Modules of harness, of `root`'s own top-level package and of those `beside` it in its distribution are
    followed; others are named in `modules`, the standard library's left out.
    """
    walk = _Walk(frozenset({OURS, root.partition(".")[0], *beside}), sources)
    walk.ask(root)
    return Code(dict(sorted(walk.files.items())), frozenset(walk.modules - sys.stdlib_module_names - {OURS}))


class _Walk:
    """One root's walk along imports."""

    def __init__(self, followed: frozenset[str], sources: Sources) -> None:
        self._followed, self._sources = followed, sources
        self._asked: set[tuple[str, str | None]] = set()
        self._passed: set[str] = set()
        self.files: dict[str, str] = {}
        self.modules: set[str] = set()

    def ask(self, module: str, name: str | None = None) -> None:
        """Follow `import module`, or `from module import name` to where the name comes from."""
        top = module.partition(".")[0]
        if top not in self._followed:
            self.modules.add(top)
            return
        if (module, name) in self._asked:
            return
        self._asked.add((module, name))
        self._pass_through(module if name is None else f"{module}.{name}")
        if name is None:
            self._take(module)
        elif self._sources.find(f"{module}.{name}") is not None:
            self.ask(f"{module}.{name}")
        else:
            giver = passed_on(self._sources.find(module), name)
            self.ask(*(giver or (module, None)))

    def _take(self, module: str) -> None:
        """All of a module counts, and all that it imports; one that has no file by its version."""
        source = self._sources.find(module)
        if source is None:
            self.modules.add(module.partition(".")[0])
            return
        if source.path.is_file():
            self.files[source.shown()] = source.digest
        self._take_data(source)
        for asked in source.asked:
            self.ask(*asked)

    def _pass_through(self, module: str) -> None:
        """The packages around a module count where they do something on import, not for what they define."""
        parts = module.split(".")
        for package in (".".join(parts[:end]) for end in range(1, len(parts))):
            source = self._sources.find(package)
            if package in self._passed or source is None:
                continue
            self._passed.add(package)
            self._take_data(source)
            if has_effects(source):
                self.ask(package)

    def _take_data(self, source: Source) -> None:
        """What a package ships beside its code. At the top of harness that is pipelines and claims, which
        reach a stage through its settings."""
        if source.is_package and source.name != OURS:
            for path in data_files(source):
                self.files[source.shown(path)] = digest_of_bytes(path)
