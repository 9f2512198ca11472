"""Every malformed input has one message, exit code 2 and nothing left behind; the messages are golden.

The inputs stand beside as data: a command line, or a file and the command that reads it. `UPDATE_GOLDEN=1`
writes `messages/` anew, for review.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml
from corpus import worlds
from corpus.runner import call

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
SECONDS = 10
READS_RUNS = (
    "score",
    "replay",
    "report",
    "paper",
    "check",
    "verify",
    "trace",
    "diff",
    "status",
    "ui",
    "serve",
)
MAY_STAY = {"runs", "runs/stages", "runs/.lock"}
"""A folder of runs may be made before its input is read."""


class Case(NamedTuple):
    """A malformed input: its name, and what makes it in a folder and says the command."""

    name: str
    make: Callable[[Path], str]


def command_lines() -> Iterator[Case]:
    """Cases of the command line alone."""
    for line in (HERE / "command_line.txt").read_text(encoding="utf-8").splitlines():
        if not line.startswith("#"):
            command = line.replace("\\e", "\x1b")
            yield Case(line, lambda folder, command=command: _in_a_world(folder, command))  # type: ignore[misc]


def comparisons() -> Iterator[Case]:
    """Cases of files that a user writes."""
    for kind, cases in _read("comparisons.yaml").items():
        for case in cases:
            yield Case(
                f"{kind} {_short(case)}",
                lambda folder, kind=kind, case=case: worlds.written_file(
                    _world(folder) if kind == "claims" else folder, kind, case
                ),
            )


def data() -> Iterator[Case]:
    """Cases of data sets."""
    for case in _read("data.yaml"):

        def make(folder: Path, case: dict[str, Any] = case) -> str:
            setting = f" --set {case['set']}" if "set" in case else ""
            return f"data {worlds.data_files(folder, case)}{setting}"

        yield Case(_short(case), make)


def replays() -> Iterator[Case]:
    """Cases of published results."""
    for kind, cases in _read("replays.yaml").items():
        for case in cases:

            def make(folder: Path, kind: str = kind, case: dict[str, Any] = case) -> str:
                worlds.replay_folder(folder / "results", kind, case)
                return "replay results --no-mlflow"

            yield Case(f"{kind} {_short(case)}", make)


def records() -> Iterator[Case]:
    """Cases of finished runs that were hurt."""
    for case in _read("records.yaml"):

        def make(folder: Path, case: dict[str, Any] = case) -> str:
            worlds.hurt(_world(folder, old=bool(case.get("old"))) / "runs", case)
            return str(case["run"])

        yield Case(_short(case), make)


KINDS = {
    "command_line": command_lines,
    "comparisons": comparisons,
    "data": data,
    "replays": replays,
    "records": records,
}


@pytest.fixture(autouse=True)
def _narrow_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    for name in ("MLFLOW_TRACKING_URI", "HARNESS_DEVICE"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="module", autouse=True)
def made(tmp_path_factory: Any) -> None:
    """Finished runs that cases are copied from, with digests of their files and without."""
    for old in (False, True):
        folder = Path(tmp_path_factory.mktemp("made"))
        worlds.finished_run(folder / "runs", digests=not old)
        worlds.write(folder / "pairs.jsonl", {"row": {}})
        worlds.write(folder / "pairs.txt", {"text": "x"})
        _worlds[old] = folder


_worlds: dict[bool, Path] = {}


@pytest.mark.parametrize("kind", KINDS)
def test_every_message_is_one_that_helps(kind: str, tmp_path: Path) -> None:
    found, wrong = {}, []
    for number, case in enumerate(KINDS[kind]()):
        folder = tmp_path / str(number)
        folder.mkdir()
        command = case.make(folder)
        before, began = _files(folder), time.monotonic()
        outcome = call(command, folder)
        message = _plain(outcome.err, folder)
        left = _files(folder) - before - MAY_STAY
        for fault, is_so in {
            f"exit code {outcome.code}": outcome.code != 2,
            f"prints {outcome.out[:80]!r}": bool(outcome.out),
            f"leaves {sorted(left)[:5]}": bool(left),
            "writes outside": not {p.name for p in tmp_path.iterdir()} <= {str(n) for n in range(number + 1)},
            "takes long": time.monotonic() - began > SECONDS,
            "is not one message": not _is_one_message(message),
        }.items():
            if is_so:
                wrong.append(f"{case.name}: {fault}\n{message[-600:]}")
        assert case.name not in found, f"{case.name} stands twice"
        found[case.name] = message.removeprefix("harness: ").rstrip("\n")
        shutil.rmtree(folder)
    assert not wrong, f"{len(wrong)} of {len(found)}:\n" + "\n".join(wrong)
    _check_golden(kind, found)


def test_there_are_at_least_300() -> None:
    assert sum(len(list(cases())) for cases in KINDS.values()) >= 300


def _is_one_message(text: str) -> bool:
    """One line of a fact with its place, and after a semicolon what to do; no control character."""
    shaped = re.fullmatch(r"harness: [^\n]+; [^\n]+[.?]\n", text) is not None
    return shaped and "Traceback" not in text and text[:-1].isprintable()


def _check_golden(kind: str, found: dict[str, str]) -> None:
    file = HERE / "messages" / f"{kind}.txt"
    text = "".join(f"{name}\n    {message}\n" for name, message in found.items())
    if os.environ.get("UPDATE_GOLDEN"):
        file.parent.mkdir(exist_ok=True)
        file.write_text(text, encoding="utf-8")
    assert text == file.read_text(encoding="utf-8")


def _in_a_world(folder: Path, command: str) -> str:
    """The finished run where the command may read it, and files of data anyway."""
    if command.split()[0] in READS_RUNS or "--like" in command:
        _world(folder)
    else:
        for file in _worlds[False].glob("pairs.*"):
            shutil.copy(file, folder)
    return command


def _world(folder: Path, *, old: bool = False) -> Path:
    shutil.copytree(_worlds[old], folder, symlinks=True, dirs_exist_ok=True)
    return folder


def _plain(text: str, folder: Path) -> str:
    """Without this machine's folders."""
    for path, name in ((folder.resolve(), "HERE"), (folder, "HERE"), (ROOT, "CHECKOUT")):
        text = text.replace(str(path), name)
    return text


def _files(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


def _short(case: dict[str, Any]) -> str:
    return json.dumps(case, ensure_ascii=True)


def _read(name: str) -> Any:
    return yaml.safe_load((HERE / name).read_text(encoding="utf-8"))
