"""A finished comparison told to a tracker from its record."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from harness.errors import UserError
from harness.records import ComparisonRecord
from harness.running.told import Completes, Context
from harness.running.tracked import Whole
from harness.running.tracked_record import whole_runs
from harness.store.items import read_series
from harness.store.run_dir import RunRoot, read_record
from harness.tracking import Publishes, Refused, Tracker

FILES_SECONDS = 50.0
"""What a server may take for the files, of which nothing is heard before the last one."""


def complete(
    tracker: Tracker, item: Completes, told: Context, root: RunRoot, moved: Callable[[float], None]
) -> None:
    """Every run that is not done, what the open ones lack, and the files; raises Refused without a record.

    `moved` is called after each run, and before something that takes so many seconds.
    """
    record = _record(item, root)
    runs = whole_runs(record, read_series(root, record), root.folder_of)
    ended = replace(runs[0].ended, at_ms=max(item.began_ms, runs[0].ended.at_ms))
    runs[0] = replace(runs[0], ended=ended)
    _tell_all(tracker, runs, {key: told.names[key] for key in told.open}, told.done, moved)
    if isinstance(tracker, Publishes):
        moved(FILES_SECONDS)
        tracker.publishes(record, root, _report(item, root))


def _record(item: Completes, root: RunRoot) -> ComparisonRecord:
    """As it stands now, which may hold scores that were added since; a fetched record lies in the root."""
    folder = root.run_folder(item.comparison)
    try:
        return read_record(folder if folder.is_dir() else root.path)
    except UserError as error:
        raise Refused(str(error)) from error


def _report(item: Completes, root: RunRoot) -> Path | None:
    folder = root.path / item.report if item.report else None
    return folder if folder is not None and (folder / "report.md").is_file() else None


def _tell_all(
    tracker: Tracker,
    runs: Sequence[Whole],
    told: Mapping[str, Collection[str]],
    done: Collection[str],
    moved: Callable[[float], None],
) -> None:
    """Every run but those that are done; `told` are the open ones with names that they have already."""
    rest = [whole for whole in runs if whole.run.key not in done]
    for whole in rest:
        key = whole.run.key
        if key not in told:
            tracker.starts(whole.run)
        names = told.get(key, ())
        points = [
            replace(point, values={n: v for n, v in point.values.items() if n not in names})
            for point in whole.points
        ]
        tracker.logs(key, [point for point in points if point.values])
        moved(0.0)
    for whole in reversed(rest):
        tracker.ends(whole.run.key, whole.ended)
        moved(0.0)
