"""A folder that `harness fetch` filled, as the only source of a comparison: its manifest, checked, and the
environment in which libraries look there and ask no network."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from pydantic import ValidationError

from harness.errors import UserError
from harness.pipeline.spec import ComparisonSpec
from harness.records import FetchedFile, FetchManifest
from harness.running.contents import sha256_of
from harness.running.execute import OFFLINE
from harness.running.needs import servers, wanted_by

MANIFEST = "manifest.json"
PLACES: Mapping[str, str] = {
    "HF_HUB_CACHE": "hub",
    "HF_DATASETS_CACHE": "datasets",
    "HF_EVALUATE_CACHE": "evaluate",
    "HF_MODULES_CACHE": "modules",
    "NLTK_DATA": "nltk_data",
}
"""Where libraries keep what they fetch, by the variable that tells them; below the folder."""
LOCKED = ("HF_DATASETS_CACHE", "HF_EVALUATE_CACHE", "HF_MODULES_CACHE")
NO_NETWORK = {**OFFLINE, "HF_EVALUATE_OFFLINE": "1"}
READERS = 8
AGAIN = "run `harness fetch` of the comparison with --to {} again, where there is a network"


@contextlib.contextmanager
def only_from(folder: Path | None) -> Iterator[None]:
    """For the body nothing is had but from a checked `folder`, by this process and its children; None
    changes nothing. Raises UserError for a folder that lacks something."""
    if folder is None:
        yield
        return
    check_files(folder, read_manifest(folder))
    with _places_to_lock(folder) as elsewhere, pointing_at(folder, {**NO_NETWORK, **elsewhere}):
        yield


@contextlib.contextmanager
def _places_to_lock(folder: Path) -> Iterator[Mapping[str, str]]:
    """Where libraries that lock what they read find it if the folder cannot be written to: links to it."""
    if os.access(folder, os.W_OK):
        yield {}
        return
    with tempfile.TemporaryDirectory(prefix="harness-offline-") as links:
        for place in (PLACES[name] for name in LOCKED):
            (Path(links) / place).mkdir()
            if (folder / place).is_dir():
                shutil.copytree(
                    folder.resolve() / place,
                    Path(links) / place,
                    copy_function=os.symlink,
                    dirs_exist_ok=True,
                )
        yield {name: str(Path(links) / PLACES[name]) for name in LOCKED}


@contextlib.contextmanager
def pointing_at(folder: Path, further: Mapping[str, str]) -> Iterator[None]:
    """The environment with caches in `folder`, and `further` variables. Libraries read it when they are first
    imported, so nothing that asks a hub may have been before."""
    whole = folder.resolve()
    wanted = {**{name: str(whole / place) for name, place in PLACES.items()}, **further}
    before = {name: os.environ.get(name) for name in wanted}
    os.environ.update(wanted)
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value


def read_manifest(folder: Path) -> FetchManifest:
    """What is in the folder; raises UserError where nothing says so."""
    path = folder / MANIFEST
    remedy = AGAIN.format(folder)
    if not path.is_file():
        raise UserError(
            f"has no {MANIFEST}, so nothing was fetched into it", where=str(folder), remedy=remedy
        )
    try:
        return FetchManifest.model_validate_json(path.read_text(encoding="utf-8"))
    except (ValidationError, UnicodeDecodeError) as error:
        raise UserError(
            "is no manifest of `harness fetch`, or one of another version", where=str(path), remedy=remedy
        ) from error


def check_files(folder: Path, manifest: FetchManifest) -> None:
    """Raise UserError that names the first file which is missing or no longer what was fetched."""
    wrong = damaged(folder, [file for thing in manifest.things for file in thing.files])
    if wrong:
        path, fact = next(iter(wrong.items()))
        others = f" (and {len(wrong) - 1} more)" if len(wrong) > 1 else ""
        raise UserError(f"{fact}{others}", where=str(folder / path), remedy=AGAIN.format(folder))


def damaged(folder: Path, files: list[FetchedFile]) -> dict[str, str]:
    """What is wrong by path, in the files' order; all bytes are read."""
    with ThreadPoolExecutor(READERS) as readers:
        facts = readers.map(lambda file: _wrong(folder / file.path, file), files)
        return {file.path: fact for file, fact in zip(files, facts, strict=True) if fact is not None}


def _wrong(path: Path, file: FetchedFile) -> str | None:
    if not path.is_file():
        return "is missing"
    if path.stat().st_size != file.bytes:
        return f"is damaged: {path.stat().st_size:,} bytes where {file.bytes:,} were fetched"
    return (
        None if sha256_of(path) == file.sha256 else "is damaged: its SHA-256 is not that of what was fetched"
    )


def check_needs(specs: Sequence[ComparisonSpec], folder: Path) -> None:
    """Raise UserError for what the comparisons need and the folder does not hold."""
    for name, judge, address in (one for spec in specs for one in servers(spec)):
        raise UserError(
            f"judge {judge} asks a server ({address}), which --offline rules out",
            where=f"benchmarks.{name}.judge",
            remedy=f"take a local judge, or leave {name} out by --score and add it by `harness score` where "
            "there is a network",
        )
    needs = read_manifest(folder).needs
    for wanted in wanted_by(*specs):
        if not any(wanted.need.is_like(need) for need in needs):
            raise UserError(
                f"has no {wanted.need.in_words()}, which this comparison needs",
                where=str(folder),
                remedy=AGAIN.format(folder),
            )
