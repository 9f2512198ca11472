"""`harness report`: render a finished run again, in one format or in all."""

from __future__ import annotations

import dataclasses
import os
import shutil
from collections.abc import Sequence
from pathlib import Path

from harness import registry
from harness.commands.view import open_runs, view_of
from harness.evidence.documents.comparison import build_report
from harness.evidence.documents.exchanges import exchanges
from harness.evidence.documents.many import many_report
from harness.evidence.documents.sweep import sweep_report
from harness.evidence.swept import At
from harness.pipeline.claims import load_claims
from harness.pipeline.registration import changed_since
from harness.records import ComparisonRecord
from harness.redact import everywhere
from harness.render import load_format
from harness.running.queues import write as write_tracker
from harness.store.items import read_test_pairs, read_texts
from harness.store.run_dir import RunRoot, read_record, read_sweep
from harness.tables import Report
from harness.terminal import PlainConsole
from harness.tracking import check_installed


def run(
    run_name: str,
    *,
    out: Path,
    format_name: str | None,
    mlflow: bool = False,
    from_mlflow: str | None = None,
    timeout: float = 60.0,
) -> int:
    """Write the report of a run again; `--format json` (or another) prints that one.

    `from_mlflow` fetches the records from a tracking server into `out/mlflow-<run id>` first, within
    `timeout` seconds.
    """
    if format_name is not None:
        registry.check("formats", format_name, where="--format")
    check_installed(["mlflow"] if mlflow else [])
    sweep = RunRoot(out).find_sweep(run_name) if from_mlflow is None else None
    if sweep is not None:
        return _say(write_sweep(sweep), format_name)
    if from_mlflow is not None:
        record, root = _fetch(from_mlflow, run_name, out, timeout)
    else:
        folder = RunRoot(out).find_run(run_name)
        record, root = read_record(folder), RunRoot(folder.parent)
    written = write(record, root)
    if mlflow:
        write_tracker("mlflow", record, root, written, PlainConsole(stderr=True))
    return _say(written, format_name)


def run_many(run_names: Sequence[str], *, out: Path, format_name: str | None) -> int:
    """One report of several runs in `<out>/runs-<digest>/report`; raises UserError where they do not mix."""
    if format_name is not None:
        registry.check("formats", format_name, where="--format")
    views, folder = open_runs(run_names, out)
    return _say(render(many_report(views, load_claims()), folder / "report"), format_name)


def _say(written: Path, format_name: str | None) -> int:
    """Print the report in the format asked for, or where it lies."""
    if format_name is None:
        print(written / "report.md")
        return 0
    names = {"json": "comparison.json", "markdown": "report.md", "html": "report.html"}
    if format_name in names:
        print((written / names[format_name]).read_text(encoding="utf-8"), end="")
        return 0
    endings = {"latex": "tables/*.tex", "csv": "tables/*.csv", "plots": "figures/*"}
    for path in sorted(written.glob(endings.get(format_name, f"{format_name}*"))):
        print(path)
    return 0


def _fetch(tracking_uri: str, run_id: str, out: Path, timeout: float) -> tuple[ComparisonRecord, RunRoot]:
    from harness.tracking.mlflow import read_from

    return read_from(tracking_uri, run_id, out / f"mlflow-{run_id}", seconds=timeout)


def write(record: ComparisonRecord, root: RunRoot) -> Path:
    """Render every format beside the record; the old report is replaced as a whole."""
    view = view_of(record, root)
    changed = changed_since(record)
    report = build_report(view, load_claims(), [changed] if changed else [], root.path)
    texts = read_texts(root, record, view.seeds[0])
    report = dataclasses.replace(report, exchanges=exchanges(view, texts, read_test_pairs(root, record)))
    return render(report, root.run_folder(record.id) / "report")


def write_sweep(folder: Path) -> Path:
    """Render every format beside the record of a sweep, from the runs at its points."""
    record, root = read_sweep(folder), RunRoot(folder.parent)
    points = [At(one.settings, view_of(read_record(root.find_run(one.run)), root)) for one in record.points]
    return render(sweep_report(record.name, record.fields, points), folder / "report")


def render(report: Report, folder: Path) -> Path:
    """Write every format into `folder`, without secrets; an old report there is replaced as a whole."""
    report = everywhere(report)
    building = folder.with_name(f".report.{os.getpid()}")
    shutil.rmtree(building, ignore_errors=True)
    try:
        building.mkdir(parents=True)
        for name in registry.names("formats"):
            load_format(name).render(report, building)
        shutil.rmtree(folder, ignore_errors=True)
        building.rename(folder)
    finally:
        shutil.rmtree(building, ignore_errors=True)
    return folder
