"""A finished run opened for reading."""

from __future__ import annotations

from pathlib import Path

from harness.evidence.view import ComparisonView
from harness.records import ComparisonRecord
from harness.store.run_dir import RunRoot, read_record


def open_run(name: str, out: Path) -> tuple[RunRoot, ComparisonView]:
    """The root that holds a run given by id, folder or `latest`, and its view."""
    folder = RunRoot(out).find_run(name)
    record, root = read_record(folder), RunRoot(folder.parent)
    return root, view_of(record, root)


def view_of(record: ComparisonRecord, root: RunRoot) -> ComparisonView:
    """A record with its items and series, what items share and which of them have no value."""
    scored = root.read_items(record)
    return ComparisonView(record, scored.values, root.read_series(record), scored.clusters, scored.unread)
