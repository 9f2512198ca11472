"""Whether the questions that a run answers are those that its file asked before it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from harness.errors import UserError
from harness.pipeline.questions_spec import AggregateSpec, QuestionSpec
from harness.pipeline.roles import with_roles
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
        written = read(path).data
        asked = {**record.plan.spec, "questions": written.get("questions") or []}
        now = [QuestionSpec.model_validate(one).model_dump() for one in with_roles(asked)["questions"]]
        aggregates = _aggregates(written)
    except (UserError, ValueError, AttributeError):
        now, aggregates = None, {}
    spec = record.plan.spec
    same = now == (spec.get("questions") or []) and aggregates == _aggregates(spec)
    what = "though not its questions" if same else "its questions too: the report answers those of the run"
    return f"The comparison file {path.name} was changed after the run, {what}."


def _aggregates(spec: Mapping[str, Any]) -> dict[str, AggregateSpec]:
    """What questions about aggregates mean."""
    return {name: AggregateSpec.model_validate(one) for name, one in (spec.get("aggregates") or {}).items()}
