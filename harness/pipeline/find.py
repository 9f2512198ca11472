"""Where pipelines and claims are: the working folder first, then what is shipped."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from harness.errors import UserError, unknown_name

FOLDERS: Mapping[str, str] = {"comparison": "pipelines", "arm": "pipelines", "suite": "pipelines/suites"}
PACKAGE = Path(__file__).resolve().parents[1]


def shipped(folder: str) -> Path:
    """Where the project's own `pipelines` or `reports/claims` lie.

    A wheel carries them in `harness/share/`, as pyproject.toml says; in a checkout they stand beside
    `harness/`, and a checkout has no `harness/share/`.
    """
    installed = PACKAGE / "share" / folder
    return installed if installed.is_dir() else PACKAGE.parent / folder


def folder_of(name: str) -> Path:
    """`./<name>` where there is one, else the shipped folder."""
    return Path(name) if Path(name).is_dir() else shipped(name)


def find_file(name: str, kind: str, *, where: str | None = None) -> Path:
    """The file that `name` means: a path, or a name in the working folder's or the shipped pipelines, or in a
    folder of them (papers/orpo_phi_2).

    Raises UserError where there is none; it lists the names of both places.
    """
    for folder in _places(kind):
        if (folder / f"{name}.yaml").is_file():
            return folder / f"{name}.yaml"
    if name.endswith((".yaml", ".yml")) or "/" in name:
        if not Path(name).is_file():
            fact = "is a folder" if Path(name).is_dir() else "no such file"
            raise UserError(fact, where=name, remedy=f"give the name or the path of one ({kind})")
        return Path(name)
    error = unknown_name(kind, name, known_files(kind), where=where)
    places = " and ".join(str(folder) for folder in _places(kind))
    raise UserError(error.fact, remedy=f"{error.remedy} (in {places})", where=error.where)


def known_files(kind: str) -> list[str]:
    """Names of all files of a kind, in the working folder's pipelines and in the shipped ones."""
    files = (path for folder in _places(kind) for path in folder.glob("*.yaml"))
    return sorted({path.stem for path in files if _is(path, kind)})


def _places(kind: str) -> list[Path]:
    """`./pipelines` and the shipped one, which are the same in a checkout's root."""
    here, packaged = Path(FOLDERS[kind]), shipped(FOLDERS[kind])
    return [here] if here.resolve() == packaged else [here, packaged]


def _is(path: Path, kind: str) -> bool:
    """Whether a file says that it is of this kind; its YAML is not parsed."""
    return f"\nkind: {kind}\n" in f"\n{path.read_text(encoding='utf-8')}\n"
