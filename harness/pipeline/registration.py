"""Whether the questions that a run answers are those that its file asked before it."""

from __future__ import annotations

import hashlib
from pathlib import Path

from harness.errors import UserError
from harness.pipeline.roles import with_roles
from harness.pipeline.spec import QuestionSpec
from harness.pipeline.yaml_file import read
from harness.records import ComparisonRecord


def file_digest(path: Path) -> str:
    """sha256 of a file's bytes: 64 hex digits."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def changed_since(record: ComparisonRecord) -> str | None:
    """How a run's comparison file differs from what it was, None where it does not or cannot be read."""
    path = Path(record.file) if record.file else None
    if path is None or not path.is_file() or file_digest(path) == record.file_digest:
        return None
    try:
        asked = {**record.plan.spec, "questions": read(path).data.get("questions") or []}
        now = [QuestionSpec.model_validate(one).model_dump() for one in with_roles(asked)["questions"]]
    except (UserError, ValueError, AttributeError):
        now = None
    same = now == (record.plan.spec.get("questions") or [])
    what = "though not its questions" if same else "its questions too: the report answers those of the run"
    return f"The comparison file {path.name} was changed after the run, {what}."
