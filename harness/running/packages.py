"""Which versions of which packages a stage's result depends on; imports none of them.

Those that its code imports, and of what these need and use by themselves the ones that compute.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase
from importlib import metadata
from importlib.util import find_spec

from harness.pipeline.covers import OPTIONAL

NO_FIGURES = frozenset({"pydantic", "yaml", "huggingface_hub", "pynvml", "mlflow", "rich", "typer", "tqdm"})
"""Modules that check settings, fetch what is covered by its commit, read counters or show and keep what was
found: no result is computed by them, so a new version of theirs runs nothing again."""

COMPUTING = (
    *("torch", "transformers", "accelerate", "tokenizers", "safetensors", "sentencepiece", "tiktoken"),
    *("numpy", "scipy", "scikit-learn", "nltk", "rouge-score", "sacrebleu", "evaluate"),
    *("triton", "pytorch-triton*", "nvidia-cu*", "nvidia-nvjitlink*"),
)
"""Of the packages that the imported ones require, those that change numbers."""

COMPANIONS = {
    "torch": ("triton",),
    "transformers": ("causal-conv1d", "flash-linear-attention", "mamba-ssm"),
}
"""What a package uses by itself where it is installed, without requiring it."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_EXTRA = re.compile(r"\bextra\s*==")


class Packages:
    """Asks for what is installed, and keeps the answers: as it is now, so for one planning only."""

    def __init__(self) -> None:
        self._versions: dict[str, str | None] = {}
        self._required: dict[str, list[str]] = {}
        self._owners: Mapping[str, list[str]] | None = None

    def versions_of(self, modules: Iterable[str]) -> dict[str, str]:
        """Distribution -> version for the modules' distributions and what computes below them.

        Those of `OPTIONAL` are left out, since a setting decides over them; what is not installed is absent.
        """
        imported = {self._owner(m) for m in set(modules) - NO_FIGURES if _normal(m) not in OPTIONAL}
        wanted = {name for name in imported if name is not None}
        for name in sorted(wanted):
            wanted |= self._computing_below(name)
        versions = {name: self.version(name) for name in sorted(wanted)}
        return {name: installed for name, installed in versions.items() if installed is not None}

    def version(self, distribution: str) -> str | None:
        """The installed version, or None."""
        if distribution not in self._versions:
            try:
                self._versions[distribution] = metadata.version(distribution)
            except metadata.PackageNotFoundError:
                self._versions[distribution] = None
        return self._versions[distribution]

    def _owner(self, module: str) -> str | None:
        """The distribution that a top-level module comes from; None where it is not installed.

        Most bear the module's name, and some modules are not there: both spare reading the file lists of all
        that is installed.
        """
        name = _normal(module)
        if self.version(name) is not None:
            return name
        if not _is_there(module):
            return None
        owners = self._all_owners().get(module)
        return _normal(owners[0]) if owners else None

    def modules_beside(self, module: str) -> list[str]:
        """The top-level modules of the distributions that `module` comes from."""
        owners = set(self._all_owners().get(module, ()))
        return [name for name, others in self._all_owners().items() if owners & set(others)]

    def _all_owners(self) -> Mapping[str, list[str]]:
        if self._owners is None:
            self._owners = metadata.packages_distributions()
        return self._owners

    def _computing_below(self, distribution: str) -> set[str]:
        """Everything that `distribution` requires, however far down, and that computes."""
        seen: set[str] = set()
        waiting = [distribution]
        while waiting:
            name = waiting.pop()
            if name not in seen:
                seen.add(name)
                waiting += [*self._requirements(name), *COMPANIONS.get(name, ())]
        return {name for name in seen if _computes(name)}

    def _requirements(self, distribution: str) -> list[str]:
        """Names that a distribution requires without any extra asked for."""
        if distribution not in self._required:
            try:
                lines = metadata.requires(distribution) or []
            except metadata.PackageNotFoundError:
                lines = []
            names = (_NAME.match(line) for line in lines if not _EXTRA.search(line))
            self._required[distribution] = [_normal(name[0]) for name in names if name is not None]
        return self._required[distribution]


def _is_there(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ValueError:  # It was loaded, by other means than an import.
        return True


def _computes(distribution: str) -> bool:
    patterns = (*COMPUTING, *(name for names in COMPANIONS.values() for name in names))
    return any(fnmatchcase(distribution, pattern) for pattern in patterns)


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
