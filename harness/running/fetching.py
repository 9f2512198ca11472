"""Brings what comparisons need into one folder, with a manifest of what is there.

Libraries fetch into their own caches, which lie in the folder, by the code that a stage loads by: what was
loaded once is there. A need stands in the manifest when all of it is here, so that what an interrupted
command left is never taken for whole; the next one goes on from it.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path, PurePosixPath

from harness import __version__
from harness.errors import UserError
from harness.full_disk import free_bytes, in_words, room, says_full
from harness.pipeline.named import HubRepo
from harness.records import FetchedNeed, FetchedThing, FetchManifest, LeftOut
from harness.running.bundle import check_blobs, place_of, remove, states, things_in
from harness.running.contents import COMMIT, repo_folder
from harness.running.needs import Wanted
from harness.running.offline import MANIFEST, PLACES, damaged, pointing_at, read_manifest
from harness.whole_file import write_atomically

Say = Callable[[str], None]


def fetch(wanted: Sequence[Wanted], out: Sequence[LeftOut], folder: Path, say: Say) -> FetchManifest:
    """Bring what is not there yet or damaged; returns the manifest, which is written after each need."""
    _open(folder)
    with pointing_at(folder, {"HF_HUB_DISABLE_TELEMETRY": "1"}):
        return _fetch(wanted, out, folder, say)


def _open(folder: Path) -> None:
    """Make the folder; raises UserError for one that holds something else, or that cannot be written."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        others = sorted(p.name for p in folder.iterdir() if p.name not in (MANIFEST, *PLACES.values()))
        if others and not (folder / MANIFEST).is_file():
            fact = f"holds other things ({others[0]})"
            raise UserError(fact, where=str(folder), remedy="give a new or empty folder by --to")
        if not os.access(folder, os.W_OK):
            raise PermissionError("not writable")
    except OSError as error:
        why = error.strerror or str(error)
        raise UserError(
            f"cannot be written ({why})", where=str(folder), remedy="give another by --to"
        ) from error


def _fetch(wanted: Sequence[Wanted], out: Sequence[LeftOut], folder: Path, say: Say) -> FetchManifest:
    from huggingface_hub.constants import ENDPOINT

    here = read_manifest(folder) if (folder / MANIFEST).is_file() else None
    needs, things = ([], []) if here is None else _mend(here, folder, say)
    earlier = [] if here is None else here.left_out

    def written() -> FetchManifest:
        manifest = FetchManifest(
            written_by=f"orpo-harness {__version__}",
            source=ENDPOINT,
            needs=needs,
            things=things,
            left_out=list({one.what: one for one in (*earlier, *out)}.values()),
        )
        write_atomically(folder / MANIFEST, manifest.model_dump_json(indent=1))
        return manifest

    manifest = written()
    for number, one in enumerate(wanted, 1):
        about = f"{number} of {len(wanted)}: {one.need.in_words()}"
        if any(one.need.is_like(need) for need in needs):
            say(f"{about}: here already")
            continue
        say(f"{about} ...")
        places = _bring(one, folder)
        things = things_in(folder)
        needs = [*needs, one.need.model_copy(update={"places": places})]
        manifest = written()
        say(f"  {_amount([thing for thing in things if thing.place in places])}")
    return manifest


def _mend(manifest: FetchManifest, folder: Path, say: Say) -> tuple[list[FetchedNeed], list[FetchedThing]]:
    """What of the manifest is whole; damaged files are removed, and their needs are asked for again."""
    files = [file for thing in manifest.things for file in thing.files]
    say(f"checking {len(files):,} files that are here, {in_words(sum(file.bytes for file in files))}")
    wrong = damaged(folder, files)
    hit = {thing.place for thing in manifest.things if any(file.path in wrong for file in thing.files)}
    for path, fact in wrong.items():
        say(f"{folder / path} {fact}; it is fetched again")
    for place in hit:
        remove(folder, place, [path for path in wrong if PurePosixPath(path).is_relative_to(place)])
    left = [need for need in manifest.needs if not hit & set(need.places)]
    if wrong and len(left) == len(manifest.needs):
        left = []
    return left, things_in(folder) if wrong else manifest.things


def _bring(one: Wanted, folder: Path) -> list[str]:
    """Fetch a need; returns the places that it touched. Raises UserError for what stops it."""
    if os.environ.get("HF_HUB_OFFLINE", "0").upper() in ("1", "ON", "YES", "TRUE"):
        raise UserError("HF_HUB_OFFLINE is set, so nothing can be fetched", remedy="unset it")
    before = states(folder)
    try:
        if one.repo is not None:
            _check_room(one.repo, folder)
        one.bring()
        if one.repo is not None:
            _note_commit(one.repo, folder)
        check_blobs(folder)
    except Exception as error:
        if says_full(error):
            raise UserError(
                f"the disk is full ({room(folder)})",
                where=str(folder),
                remedy="make room, or give a folder on another disk by --to; the same command goes on",
            ) from error
        raise
    own = [f"hub/{repo_folder(one.repo.name, one.repo.kind)}"] if one.repo is not None else []
    return sorted(
        {*own, *(place_of(path) for path, state in states(folder).items() if before.get(path) != state)}
    )


def _check_room(repo: HubRepo, folder: Path) -> None:
    """Raise UserError where a model's files do not fit the disk; what data sets need is not known before."""
    if repo.kind != "model":
        return
    from huggingface_hub import snapshot_download
    from huggingface_hub.utils import disable_progress_bars, enable_progress_bars

    from harness.data.base_model import wanted_files

    disable_progress_bars()
    try:
        coming = snapshot_download(repo.name, revision=repo.revision, dry_run=True, **wanted_files())
    except Exception:  # Whoever fetches it says what is wrong.
        return
    finally:
        enable_progress_bars()
    needed = sum(file.file_size for file in coming if file.will_download)
    if needed > free_bytes(folder):
        raise UserError(
            f"model {repo.name} needs {in_words(needed)}, and the disk has {room(folder)}",
            where=str(folder),
            remedy="make room, or give a folder on another disk by --to",
        )


def _note_commit(repo: HubRepo, folder: Path) -> None:
    """Leave the commit where it is looked for offline; raises UserError where a data set is here twice."""
    held = folder / PLACES["HF_HUB_CACHE"] / repo_folder(repo.name, repo.kind)
    ref = held / "refs" / (repo.revision or "main")
    commits = sorted(p.name for p in (held / "snapshots").glob("*"))
    if repo.kind == "dataset" and len(commits) > 1:
        raise UserError(
            f"data set {repo.name} is here at {len(commits)} commits, which cannot be told apart offline "
            f"({', '.join(commit[:8] for commit in commits)})",
            where=str(folder),
            remedy="give another folder by --to",
        )
    if not ref.is_file() and not COMMIT.fullmatch(repo.revision or "") and len(commits) == 1:
        ref.parent.mkdir(parents=True, exist_ok=True)
        ref.write_text(commits[0])


def _amount(things: Sequence[FetchedThing]) -> str:
    if not things:
        return "all of it was here already"
    files = [file for thing in things for file in thing.files]
    commits = ", ".join(dict.fromkeys(f"commit {commit[:8]}" for thing in things for commit in thing.commits))
    return f"{len(files):,} files, {in_words(sum(f.bytes for f in files))}{f', {commits}' if commits else ''}"
