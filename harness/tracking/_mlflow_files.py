"""What MLflow keeps of a finished comparison as files, laid out as a run root, and its description."""

from __future__ import annotations

from pathlib import Path

from harness.records import ComparisonRecord
from harness.sealed import write_sealed
from harness.store.run_dir import RunRoot, scores_by_cell

HOW_TO_READ = (
    "Each child is a cell (one arm at one seed); its children are the training stages. `cost/*` are sums "
    "over the cell's stages (memory: the maximum), in seconds, bytes, FLOPs and joules. The report is under "
    "Artifacts: `report/report.html`."
)


def first_page(report_folder: Path) -> str:
    """The report's first page, and how to read the runs."""
    text = (report_folder / "report.md").read_text(encoding="utf-8")
    return "\n## ".join(text.split("\n## ")[:2]) + "\n\n" + HOW_TO_READ


def copy_records(record: ComparisonRecord, root: RunRoot, target: Path) -> None:
    """The records and what a report reads beside them, into a new folder."""
    target.mkdir(parents=True)
    write_sealed(target / "record.json", record)
    files = {(d, r.outputs["steps"]) for d, r in record.results.items() if "steps" in r.outputs}
    files |= {(d, s.items_file) for _, d, s in scores_by_cell(record) if s.items_file}
    files |= {(d, "result.json") for d in record.results} | {(d, "request.json") for d in record.results}
    for digest, file in sorted(files):
        source = root.folder_of(record.results[digest]) / file
        copy = target / "stages" / digest / file
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_bytes(source.read_bytes())
