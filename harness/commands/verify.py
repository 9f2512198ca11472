"""`harness verify`: is every file of a finished run as its stage wrote it?"""

from __future__ import annotations

from pathlib import Path

from harness.store.cleaned import read_cleaned
from harness.store.run_dir import RunRoot, read_record


def run(run_name: str, *, out: Path) -> int:
    """Read every byte of the run's stages; 1 where a file is gone or was changed."""
    root = RunRoot(out)
    record = read_record(root.find_run(run_name))
    damaged = root.damage_of(record, whole=True)
    for stage, found in damaged.items():
        for file, what in found.items():
            print(f"{stage}: {file} {what}")
    kept = [result for result in record.results.values() if result.artifacts]
    notes = {result.name: note for result in kept if (note := read_cleaned(root.folder_of(result)))}
    there = [
        artifact
        for result in kept
        for name, artifact in result.artifacts.items()
        if result.name not in notes or not notes[result.name].covers(name)
    ]
    files, size = len(there), sum(artifact.size for artifact in there)
    for stage, note in notes.items():
        folders = ", ".join(f"{name}/ ({bytes_:,} bytes)" for name, bytes_ in note.folders.items())
        print(f"{stage}: weights were cleaned away on {note.at[:10]}: {folders}")
    unknown = len(record.results) - len(kept)
    if unknown:
        print(f"{unknown} of {len(record.results)} stages left no file, or kept no digests of theirs")
    if damaged:
        print("Run the comparison again: these stages run again, and all others are reused.")
        return 1
    print(f"{files:,} files of {len(kept)} stages, {size:,} bytes: all as they were written")
    return 0
