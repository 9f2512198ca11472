"""What a root can do without: weights and other things that can be made again, and what no run needs."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from harness.at_work import worked_in_by
from harness.records import ComparisonRecord, StageKind
from harness.store.cleaned import FILE, Cleaned, read_cleaned
from harness.store.guard import STAGES
from harness.store.leftovers import remove
from harness.store.run_dir import RunRoot, read_record
from harness.store.stage_files import read_result
from harness.whole_file import write_atomically

WEIGHTS: dict[StageKind, tuple[str, ...]] = {
    "prepare": ("base_model",),
    "rehearse": ("model",),
    "train": ("model", "checkpoints"),
    "export": ("model",),
}
"""By kind of stage, the folders in which it keeps what running it again makes again."""
WORDS = {"model": "weights", "base_model": "weights", "checkpoints": "checkpoints"}
NOT_NEEDED, SET_ASIDE, BEGUN = "stages that no run needs", "stages set aside", "answers of broken runs"
LOG_PROBS = "log-probs of references"
_ASIDE = re.compile(r"[0-9a-f]+\.\d+")


@dataclass(frozen=True)
class Freed:
    """A file or folder that can go, its bytes, and the finished stage that stays without it."""

    kind: str
    path: Path
    size: int
    stage: Path | None = None


def can_go(root: RunRoot, chosen: Collection[str] | None = None) -> list[Freed]:
    """What can go of the runs of these ids, and of nobody else's; None means of all, and what no run needs.

    Raises UserError for a record that cannot be read: what it needs is not known.
    """
    records = _records(root)
    used = {record.id: _folders(root, record) for record in records}
    needed = {folder for folders in used.values() for folder in folders}
    other_runs = set() if chosen is None else used.keys() - set(chosen)
    others = {folder for run in other_runs for folder in used[run]}
    found = [one for folder in sorted(needed - others) for one in weights_of(folder)]
    if chosen is None:
        found += _unneeded(root, needed)
        found += _begun(root)
        found += _log_probs(root)
    return [one for one in found if _lies_in(root, one.path)]


def free(found: Sequence[Freed]) -> None:
    """Remove it. The root's lock has to be held; a stage in which a process works is left alone."""
    for one in found:
        if one.stage is not None:
            _note(one.stage, one)
        elif one.path.is_dir() and worked_in_by(one.path) is not None:
            continue
        remove(one.path)


def size_of(path: Path) -> int:
    """Bytes of a file, or of all files in a folder; links count for nothing."""
    if path.is_symlink() or not path.exists():
        return 0
    files = [path] if path.is_file() else [file for file in path.rglob("*") if not file.is_symlink()]
    return sum(file.stat().st_size for file in files if file.is_file())


def _records(root: RunRoot) -> list[ComparisonRecord]:
    files = [file for file in sorted(root.path.glob("*/record.json")) if not file.parent.is_symlink()]
    return [read_record(file.parent) for file in files]


def _folders(root: RunRoot, record: ComparisonRecord) -> set[Path]:
    """Where its results lie, those of its trials too, and where what failed goes on."""
    trials = record.tuning.trials if record.tuning is not None else []
    tried = [digest for trial in trials for digest in (*trial.stages, trial.evaluate) if digest]
    planned = {root.stage_folder(digest) for digest in [*record.plan.stages, *tried]}
    return planned | {root.folder_of(result) for result in record.results.values()}


def weights_of(folder: Path) -> Iterator[Freed]:
    """What running a stage again would make again; nothing of one that is not finished."""
    result = read_result(folder)
    for name in WEIGHTS.get(result.kind, ()) if result is not None else ():
        if (folder / name).is_dir():
            yield Freed(WORDS[name], folder / name, size_of(folder / name), folder)


def _unneeded(root: RunRoot, needed: set[Path]) -> Iterator[Freed]:
    """Stages of no record, but those of a comparison that is not finished and may go on."""
    going_on = _unfinished(root)
    for folder in sorted((root.path / STAGES).iterdir()):
        aside = _ASIDE.fullmatch(folder.name) is not None
        owner = _text(folder / "owner.txt")
        if folder in needed or owner is None or (owner in going_on and not aside):
            continue
        yield Freed(SET_ASIDE if aside else NOT_NEEDED, folder, size_of(folder))


def _begun(root: RunRoot) -> Iterator[Freed]:
    """Answers that a broken scoring would go on from, where its comparison is given up."""
    going_on = _unfinished(root)
    for file in sorted((root.path / "cache" / "answers").glob("*.jsonl")):
        if _text(root.stage_folder(file.stem) / "owner.txt") not in going_on:
            yield Freed(BEGUN, file, size_of(file))


def _log_probs(root: RunRoot) -> Iterator[Freed]:
    """What a stage scored once for others, but where its comparison may go on."""
    going_on = _unfinished(root)
    for file in sorted((root.path / "cache" / "reference").glob("*")):
        maker = _maker_of(file.with_suffix(".json"))
        if maker is None or _text(root.stage_folder(maker) / "owner.txt") not in going_on:
            yield Freed(LOG_PROBS, file, size_of(file))


def _maker_of(file: Path) -> str | None:
    """The stage that made what a sealed record tells of; None where it cannot be read."""
    try:
        return str(json.loads(file.read_bytes())["digest"])
    except (OSError, ValueError, LookupError, TypeError):
        return None


def _unfinished(root: RunRoot) -> set[str]:
    """Comparisons that began and wrote no record yet."""
    folders = [file.parent for file in root.path.glob("*/status.json")]
    return {folder.name for folder in folders if not (folder / "record.json").is_file()}


def _text(file: Path) -> str | None:
    try:
        return file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return None


def _lies_in(root: RunRoot, path: Path) -> bool:
    """Nothing outside the root is ever removed, whatever links lead there."""
    return not path.is_symlink() and path.resolve().is_relative_to(root.path.resolve())


def _note(stage: Path, one: Freed) -> None:
    """Written before anything goes, so that a half-removed folder is never taken for weights."""
    before = read_cleaned(stage)
    folders = {**(before.folders if before is not None else {}), one.path.name: one.size}
    note = Cleaned(at=datetime.now(UTC).isoformat(timespec="seconds"), folders=folders)
    write_atomically(stage / FILE, note.model_dump_json(indent=1))
