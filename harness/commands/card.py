"""What stands beside exported weights: the model card, the record with digests, the base model's notices."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

from harness.data.base_model import EMBEDDED
from harness.errors import UserError
from harness.evidence.documents.card import CardParts, card_report
from harness.evidence.documents.comparison import build_report
from harness.records import ExportRecord
from harness.render import markdown
from harness.running.contents import sha256_of
from harness.whole_file import write_atomically

RECORD, CARD = "export.json", "README.md"
NOTICES = ("LICENSE", "LICENSE.txt", "LICENSE.md", "NOTICE", "NOTICE.txt")


def write_export(to: Path, model: Path, parts: CardParts) -> None:
    """Make the folder `to` of the written model, card, record and notices: whole, or not at all.

    An export that stood there before stays until the new one is whole. Raises UserError where the disk does
    not take it.
    """
    try:
        to.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{to.name}.", dir=to.parent) as place:
            made = Path(place) / "made"
            shutil.copytree(model, made)
            _write_card(parts, made)
            _copy_notices(parts.record, made)
            known = parts.record.model_copy(update={"files": _digests(made)})
            write_atomically(made / RECORD, known.model_dump_json(indent=1) + "\n")
            _put(made, to, Path(place) / "before")
    except OSError as error:
        raise UserError(
            f"the export could not be written ({error.strerror or error})",
            where=str(to),
            remedy="make room, or name another folder by --to",
        ) from None


def _put(made: Path, to: Path, before: Path) -> None:
    if to.exists():
        os.replace(to, before)
    os.replace(made, to)


def _write_card(parts: CardParts, folder: Path) -> None:
    """The metadata that hubs read, and the report below it."""
    from huggingface_hub import ModelCard

    told = build_report(parts.view)
    report = card_report(parts, told.first.answers if told.first is not None else told.summary)
    (file,) = markdown.render(report, folder)
    body = file.read_text(encoding="utf-8")
    file.unlink()
    ModelCard(f"---\n{_metadata(parts)}\n---\n\n{body}", ignore_metadata_errors=False).save(folder / CARD)


def _metadata(parts: CardParts) -> str:
    from huggingface_hub import EvalResult, ModelCardData

    record = parts.record
    results = [
        EvalResult(
            task_type="text-generation",
            dataset_type=record.data,
            dataset_name=f"{record.comparison}, held-out items",
            metric_type=one.contrast.quantity,
            metric_value=value,
        )
        for one in parts.found
        if (value := _score(parts, one.contrast.quantity)) is not None
    ]
    hub_model = record.model if "/" in record.model and not Path(record.model).exists() else None
    hub_data = [record.data] if "/" in record.data and not Path(record.data).exists() else None
    data = ModelCardData(
        base_model=hub_model,
        datasets=hub_data,
        library_name="transformers",
        pipeline_tag="text-generation",
        tags=["preference-optimization", record.arm, "orpo-harness"],
        model_name=f"{record.comparison}-{record.arm}",
        eval_results=results or None,
    )
    return str(data.to_yaml())


def _score(parts: CardParts, metric: str) -> float | None:
    """The export's own: the table's third column."""
    row = next(row for row in parts.table.rows if row[0].value == metric)
    value = row[2].value
    return float(value) if isinstance(value, int | float) else None


def _copy_notices(record: ExportRecord, folder: Path) -> None:
    """The base model's licence and notices, where its folder has some."""
    base = EMBEDDED if record.model == "embedded" else Path(record.model)
    for name in NOTICES if base.is_dir() else ():
        if (base / name).is_file():
            shutil.copy2(base / name, folder / name)


def _digests(folder: Path) -> dict[str, str]:
    files = sorted(file for file in folder.rglob("*") if file.is_file())
    return {file.relative_to(folder).as_posix(): sha256_of(file) for file in files}
