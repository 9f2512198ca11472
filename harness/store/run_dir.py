"""The run root: `stages/<digest>/` for work, `<run id>/` for comparisons, `latest` for the newest."""

from __future__ import annotations

import contextlib
import json
import os
import re
from collections.abc import Iterator
from pathlib import Path

from harness.artifacts import GONE, damage
from harness.at_work import worked_in_by
from harness.data.files import short
from harness.errors import UserError
from harness.lock_file import Held, LockFile
from harness.pipeline.validate import validate
from harness.records import ComparisonRecord, JudgeFacts, Score, StageRequest, StageResult, SweepRecord
from harness.sealed import opened, read_sealed, write_sealed
from harness.store.attempts import carried_over
from harness.store.believed import fault
from harness.store.cleaned import not_cleaned, outputs_are_there, read_cleaned
from harness.store.guard import STAGES, guarded
from harness.store.leftovers import remove_leftovers
from harness.store.stage_files import broken, of_its_attempt, read_request, read_result, read_whole
from harness.whole_file import write_atomically

SWEEP = "sweep.json"


class RunRoot:
    """A folder of runs. Nothing is created before `open_for_writing`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._looked_at: dict[tuple[str, str], dict[str, str]] = {}

    def open_for_writing(self) -> None:
        """Create the root; raises UserError where that is not possible."""
        try:
            (self.path / STAGES).mkdir(parents=True, exist_ok=True)
            probe = self.path / f".writable.{os.getpid()}"
            probe.touch()
            probe.unlink()
        except OSError as error:
            raise UserError(
                f"cannot be written to ({error.strerror})",
                where=str(self.path),
                remedy="give another folder by --out (make: OUT=)",
            ) from None

    @contextlib.contextmanager
    def lock(self, what: str) -> Iterator[None]:
        """Keep a second command that writes out of this root; `what` is told to it.

        What processes that were killed left here is removed first.
        """
        file = LockFile(self.path / ".lock")
        try:
            file.acquire(what)
        except Held as held:
            raise UserError(
                f"{held.holder or 'another command'} writes here",
                where=str(self.path),
                remedy="wait for it, or give another folder by --out",
            ) from None
        except OSError as error:
            raise UserError(
                f"cannot be locked ({error.strerror})",
                where=str(self.path),
                remedy="give a folder on a disk that can lock files by --out",
            ) from None
        try:
            with guarded(self.path):
                remove_leftovers(self.path, self.path / STAGES)
                yield
        finally:
            file.release()

    def stage_folder(self, digest: str) -> Path:
        """Where a stage lives."""
        return self.path / STAGES / digest

    def aside_folder(self, digest: str, finished_at: str) -> Path:
        """Where a stage that was run again keeps what it was before: named by when that was finished."""
        return self.path / STAGES / f"{digest}.{re.sub(r'[^0-9]', '', finished_at)[:20]}"

    def folder_of(self, result: StageResult) -> Path:
        """Where the files of this very result lie, also after its stage was run again."""
        aside = self.aside_folder(result.digest, result.finished_at)
        return aside if aside.is_dir() else self.stage_folder(result.digest)

    def run_folder(self, run_id: str) -> Path:
        """Where a comparison lives."""
        return self.path / run_id

    def finished(self, digest: str) -> StageResult | None:
        """The result of a finished stage whose files are all there and as they were written, else None."""
        folder = self.stage_folder(digest)
        result = read_whole(folder)
        if result is None or result.digest != digest or read_cleaned(folder) or self._damage(result):
            return None
        return result

    def cleaned(self, digest: str) -> StageResult | None:
        """The result of a stage that is whole but for what `harness clean` took away, else None."""
        folder = self.stage_folder(digest)
        result = of_its_attempt(folder)
        if result is None or result.digest != digest or self._damage(result):
            return None
        return result if outputs_are_there(folder, result.outputs.values()) else None

    def damage(self, digest: str) -> dict[str, str]:
        """File -> what became of it, of a stage that was finished once."""
        folder = self.stage_folder(digest)
        result = read_result(folder)
        if result is not None:
            return self._damage(result)
        wrong = broken(folder)
        return {} if wrong is None else {"result.json": wrong}

    def damage_of(self, record: ComparisonRecord, *, whole: bool = False) -> dict[str, dict[str, str]]:
        """Stage -> file -> what became of it, of a finished comparison; `whole` reads every byte."""
        found = {
            result.name: self._every_byte(result) if whole else self._damage(result)
            for result in record.results.values()
        }
        return {name: files for name, files in found.items() if files}

    def _damage(self, result: StageResult) -> dict[str, str]:
        """Each result is looked at once: a command asks for its stages many times."""
        key = (result.digest, result.finished_at)
        if key not in self._looked_at:
            self._looked_at[key] = self._look(result)
        return self._looked_at[key]

    def _look(self, result: StageResult, *, whole: bool = False) -> dict[str, str]:
        folder = self.folder_of(result)
        return not_cleaned(folder, damage(folder, result.artifacts, whole=whole))

    def _every_byte(self, result: StageResult) -> dict[str, str]:
        """The result's own file too, of which a report needs none: the record holds a copy."""
        folder = self.folder_of(result)
        gone = (folder / "request.json").is_file() and not (folder / "result.json").is_file()
        wrong = GONE if gone else broken(folder)
        return {**({"result.json": wrong} if wrong else {}), **self._look(result, whole=True)}

    def request(self, digest: str) -> StageRequest | None:
        """What a stage was asked, or None where that is gone or from a version that cannot be read."""
        return read_request(self.stage_folder(digest))

    def start_stage(self, request: StageRequest, *, owner: str) -> Path:
        """A folder with the request in it; of what a broken run left there checkpoints alone stay, and a
        finished stage without its weights is set aside.

        Raises UserError where a process still works in it.
        """
        folder = self.stage_folder(request.digest)
        if folder.exists():
            process = worked_in_by(folder)
            if process is not None:
                raise UserError(
                    f"a process of an earlier command still runs this stage (process {process})",
                    where=str(folder),
                    remedy="wait for it, or end it",
                )
            cleaned = self.cleaned(request.digest)
            if cleaned is not None:
                # The runs that it was made for are still shown by what it kept.
                os.replace(folder, self.aside_folder(request.digest, cleaned.finished_at))
            else:
                request = carried_over(folder, request)
        # A root that was removed is not made again without what lay in it.
        folder.parent.mkdir(exist_ok=True)
        folder.mkdir(exist_ok=True)
        (folder / "owner.txt").write_text(owner)
        (folder / "request.json").write_text(request.model_dump_json(indent=1))
        return folder

    def owner(self, digest: str) -> str | None:
        """The run that made a stage."""
        file = self.stage_folder(digest) / "owner.txt"
        return file.read_text(encoding="utf-8", errors="replace") if file.exists() else None

    def write_record(self, record: ComparisonRecord) -> Path:
        """Write `record.json` and `plan.json`, and point `latest` at the run."""
        folder = self.run_folder(record.id)
        folder.mkdir(parents=True, exist_ok=True)
        write_atomically(folder / "plan.json", record.plan.model_dump_json(indent=1))
        write_sealed(folder / "record.json", record)
        self._point_latest(record.id)
        return folder

    def _point_latest(self, run_id: str) -> None:
        link = self.path / f".latest.{os.getpid()}"
        link.unlink(missing_ok=True)
        link.symlink_to(run_id)
        os.replace(link, self.path / "latest")

    def earlier(self, run_id: str) -> ComparisonRecord | None:
        """The record of a run that finished before, or None; raises UserError for an unreadable one."""
        folder = self.run_folder(run_id)
        return read_record(folder) if (folder / "record.json").is_file() else None

    def write_sweep(self, record: SweepRecord) -> Path:
        """Write `sweep.json`; returns its folder, beside those of its runs."""
        folder = self.run_folder(record.id)
        folder.mkdir(parents=True, exist_ok=True)
        write_sealed(folder / SWEEP, record)
        return folder

    def find_sweep(self, name: str) -> Path | None:
        """The folder of a finished sweep by id or path, None where there is none of the name."""
        folders = (self.path / name, Path(name))
        return next((folder.resolve() for folder in folders if (folder / SWEEP).is_file()), None)

    def find_run(self, name: str) -> Path:
        """The folder of a run by id, path or `latest`; raises UserError with the known ones."""
        for folder in (self.path / name, Path(name)):
            if (folder / "record.json").is_file():
                return folder.resolve()
        known = sorted(f.parent.name for f in self.path.glob("*/record.json") if f.parent.name != "latest")
        raise UserError(
            f'no finished run "{name}"',
            where=str(self.path),
            remedy=f"known: {', '.join(known)}" if known else "run `make compare` first",
        )


def read_record(folder: Path) -> ComparisonRecord:
    """The record of a finished run; raises UserError for one this version cannot read."""
    file = folder / "record.json"
    remedy = "move it away, and run the comparison again"
    try:
        data = json.loads(opened(file.read_bytes()))
        record = validate(ComparisonRecord, data)
    except UserError as error:
        newer = isinstance(data, dict) and data.get("schema_version") not in (None, 1)
        remedy = "read it with the version that wrote it" if newer else remedy
        raise UserError(f"cannot be read ({error.fact})", where=str(file), remedy=remedy) from None
    except (OSError, ValueError, RecursionError) as error:
        raise UserError(f"cannot be read ({short(error)})", where=str(file), remedy=remedy) from None
    wrong = fault(record)
    if wrong is not None:
        raise UserError(f"is not as it was written ({wrong})", where=str(file), remedy=remedy)
    return record


def read_sweep(folder: Path) -> SweepRecord:
    """The record of a finished sweep; raises UserError for one that cannot be read."""
    try:
        return read_sealed(folder / SWEEP, SweepRecord)
    except (OSError, ValueError, RecursionError) as error:
        remedy = "run the sweep again, which reuses what is finished"
        where = str(folder / SWEEP)
        raise UserError(f"cannot be read ({short(error)})", where=where, remedy=remedy) from None


def scores_by_cell(record: ComparisonRecord) -> list[tuple[str, str, Score]]:
    """(cell key, stage digest, score) of every score of a comparison."""
    cell_scores: list[tuple[str, str, Score]] = []
    plan = record.plan
    evaluates = {f"{c.arm}@{c.seed}": [c.evaluate, *c.more] for c in plan.cells if not c.repeat}
    evaluates["base"] = [plan.base_evaluate, *plan.base_more]
    for cell, digests in evaluates.items():
        for digest in digests:
            if digest is not None and digest in record.results:
                cell_scores += [(cell, digest, score) for score in record.results[digest].scores]
    for judge in (plan.judge, *plan.more_judges):
        if judge is not None and judge in record.results:
            for cell, scores in record.results[judge].facts_as(JudgeFacts).cells.items():
                cell_scores += [(cell, judge, score) for score in scores]
    return cell_scores
