"""`harness verify`: is every file of a finished run as its stage wrote it?"""

from __future__ import annotations

from pathlib import Path

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
    files, size = sum(len(r.artifacts) for r in kept), sum(a.size for r in kept for a in r.artifacts.values())
    unknown = len(record.results) - len(kept)
    if unknown:
        print(f"{unknown} of {len(record.results)} stages left no file, or kept no digests of theirs")
    if damaged:
        print("Run the comparison again: these stages run again, and all others are reused.")
        return 1
    print(f"{files:,} files of {len(kept)} stages, {size:,} bytes: all as they were written")
    return 0
