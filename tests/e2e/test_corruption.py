"""Every kind of file of a finished run, damaged in every way: it is noticed and named, or it changes nothing.

A report that stands with other figures is the one outcome that must not be.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from e2e.test_compare import compare

from harness.commands import report as report_command
from harness.commands import verify as verify_command
from harness.errors import UserError
from harness.records import ComparisonRecord
from harness.render import load_format
from harness.store.run_dir import RunRoot, read_record


def flip(path: Path) -> None:
    """One bit of one byte in the middle."""
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(bytes(data))


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def other_digit(path: Path) -> None:
    """A digit in the middle is another, so that JSON stays JSON; where there is none, any byte."""
    data = bytearray(path.read_bytes())
    places = [place for place, byte in enumerate(data) if chr(byte).isdigit()] or range(len(data))
    data[places[len(places) // 2]] ^= 1
    path.write_bytes(bytes(data))


DAMAGES: dict[str, Callable[[Path], object]] = {
    "a digit changed": other_digit,
    "flipped": flip,
    "truncated": truncate,
    "emptied": lambda path: path.write_bytes(b""),
    "removed": Path.unlink,
}


class Run:
    """A finished run in a root of its own, and what a report of it says."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.record: ComparisonRecord = read_record(root / "latest")
        self.figures = self.report()

    def kinds(self) -> Iterator[tuple[str, Path]]:
        """One file of each kind: `<kind of stage>/<file>`, or `run/<file>` and `root/<file>`."""
        seen = set()
        for path in sorted(p for p in self.root.rglob("*") if p.is_file() and not p.is_symlink()):
            name = self._kind(path)
            if name is not None and name not in seen and path.stat().st_size:
                seen.add(name)
                yield name, path

    def _kind(self, path: Path) -> str | None:
        parts = path.relative_to(self.root).parts
        if parts[0] == "stages":
            stage = self.record.results.get(parts[1])
            return None if stage is None else "/".join((stage.kind, *parts[2:]))
        if parts[0] == "mlartifacts":
            return None
        if parts[0] == self.record.id:
            return None if parts[1] == "report" else "/".join(("run", *parts[1:]))
        return "/".join(("root", *parts))

    def report(self) -> dict[str, Any]:
        """The figures of a report that is made anew; the record is read again."""
        record = read_record(RunRoot(self.root).find_run("latest"))
        folder = report_command.write(record, RunRoot(self.root))
        found: dict[str, Any] = json.loads((folder / "comparison.json").read_text(encoding="utf-8"))
        return found

    def reuses(self, digest: str) -> bool:
        return RunRoot(self.root).finished(digest) is not None


@pytest.fixture(scope="module")
def run(tmp_path_factory: Any) -> Iterator[Run]:
    root = Path(tmp_path_factory.mktemp("runs"))
    done = compare(root, "--score", "preference rubric alpaca_eval diversity")
    assert done.returncode == 0, done.stderr + done.stdout

    def render(report: Any, folder: Path) -> Path:
        """The figures alone: drawing them 60 times takes minutes."""
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        load_format("json").render(report, folder)
        return folder

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(report_command, "render", render)
        yield Run(root)


def outcome(run: Run, path: Path) -> str:
    """What a report makes of the damage: its message, or `the same figures`, or `OTHER FIGURES`."""
    try:
        found = run.report()
    except UserError as error:
        return f"refused: {error}"
    return "the same figures" if found == run.figures else "OTHER FIGURES"


@pytest.mark.slow
@pytest.mark.longest
@pytest.mark.timeout(1200)
def test_no_damage_makes_other_figures(run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cases, wrong = [], []
    for kind, path in list(run.kinds()):
        kept = tmp_path / "kept"
        shutil.copy2(path, kept)
        for name, damage in DAMAGES.items():
            damage(path)
            said = outcome(run, path)
            digest = path.relative_to(run.root).parts[1] if "stages" in path.parts else None
            result = run.record.results.get(digest or "")
            artifact = result is not None and str(path.relative_to(run.root / "stages" / (digest or "")))
            if artifact and result is not None and artifact in {"result.json", *result.artifacts}:
                if run.reuses(result.digest):
                    wrong.append(f"{kind} {name}: reused as if whole")
                assert verify_command.run("latest", out=run.root) == 1, f"{kind} {name}"
            if said == "OTHER FIGURES" or (said.startswith("refused") and not _names(said, path)):
                wrong.append(f"{kind} {name}: {said}")
            cases.append(f"{kind} {name}: {said}")
            shutil.copy2(kept, path)
    capsys.readouterr()
    print("\n".join(cases))
    assert wrong == []
    assert len(cases) >= 60
    assert run.report() == run.figures


def _names(said: str, path: Path) -> bool:
    """Whether a message says which file, stage or run it is about; a run without a record is none."""
    return path.name in said or "no finished run" in said or "stage" in said or path.parent.name in said
