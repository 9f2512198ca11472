"""Finished runs opened for reading."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

from harness.artifacts import GONE
from harness.errors import UserError
from harness.evidence.documents.mixing import counted_twice, forbidden
from harness.evidence.view import ComparisonView
from harness.records import ComparisonRecord
from harness.store.items import read_items, read_series
from harness.store.run_dir import RunRoot, read_record
from harness.votes import read_votes, votes_path


def open_run(name: str, out: Path) -> tuple[RunRoot, ComparisonView]:
    """The root that holds a run given by id, folder or `latest`, and its view."""
    folder = RunRoot(out).find_run(name)
    record, root = read_record(folder), RunRoot(folder.parent)
    return root, view_of(record, root)


def open_runs(names: Sequence[str], out: Path) -> tuple[list[ComparisonView], Path]:
    """Views of runs, and the folder of what is written about them: the run's own, or one of all of them.

    Raises UserError where several do not mix.
    """
    opened = [open_run(name, out) for name in names]
    views = [view for _, view in opened]
    if len(views) == 1:
        return views, opened[0][0].run_folder(views[0].record.id)
    broken = forbidden(views)
    if broken:
        raise UserError(
            f"these runs may not stand in one table: {'; '.join(broken)}",
            where="report",
            remedy="report them apart, or run them on equal terms",
        )
    twice = counted_twice(views)
    if twice:
        raise UserError(
            f"these runs would count seeds twice: {'; '.join(twice)}",
            where="report",
            remedy="give one of them (of looks the last one), or train the other again at seeds of its own",
        )
    digest = hashlib.sha256("\n".join(sorted(v.record.id for v in views)).encode()).hexdigest()[:10]
    return views, out / f"runs-{digest}"


def view_of(record: ComparisonRecord, root: RunRoot) -> ComparisonView:
    """A record with its items and series, what items share and which have no value, and people's votes.

    Raises UserError where a file of the run was changed after it was written, or a vote cannot be read.
    """
    _refuse_damage(record, root)
    scored = read_items(root, record)
    votes = tuple(read_votes(votes_path(root.run_folder(record.id))))
    return ComparisonView(
        record, scored.values, read_series(root, record), scored.clusters, scored.unread, votes
    )


def _refuse_damage(record: ComparisonRecord, root: RunRoot) -> None:
    """Raise UserError where a file was changed; what is gone is missed where it is read."""
    for stage, files in root.damage_of(record).items():
        for file, what in files.items():
            if what != GONE:
                raise UserError(
                    f"{file} of stage {stage} {what} after it was finished",
                    where=str(root.run_folder(record.id)),
                    remedy="run the comparison again, which runs this stage again; harness verify shows all",
                )
