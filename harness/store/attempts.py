"""A stage's folder between two attempts: what is kept of one that was interrupted, and what it took."""

from __future__ import annotations

import shutil
from pathlib import Path

from harness.artifacts import CHECKPOINTS
from harness.records import StageRequest
from harness.store.leftovers import remove
from harness.store.stage_files import read_request


def carried_over(folder: Path, request: StageRequest) -> StageRequest:
    """Clear `folder` but for checkpoints; `request` with the attempts before it.

    A stage that was finished and was damaged since is begun anew, and nothing of it was an interruption.
    """
    earlier = None if (folder / "result.json").exists() else read_request(folder)
    if earlier is None:
        shutil.rmtree(folder)
        return request
    seconds = earlier.earlier_seconds + _worked(folder)
    for path in folder.iterdir():
        if path.name != CHECKPOINTS:
            remove(path)
    return request.model_copy(update={"interruptions": earlier.interruptions + 1, "earlier_seconds": seconds})


def _worked(folder: Path) -> float:
    """Seconds from the request to the last file that the attempt wrote, by the file system's clock."""
    began = (folder / "request.json").stat().st_mtime
    last = max(path.stat().st_mtime for path in folder.rglob("*") if path.is_file())
    return max(0.0, last - began)
