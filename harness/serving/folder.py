"""The folder that a server loads: weights, tokenizer and generation settings side by side.

It lies in a folder named after this process, is complete before a server starts, and goes with the server;
what a process that was killed left behind is removed by the next one, or by what next writes into the root.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from harness.errors import StageFailed, UserError
from harness.serving.chosen import Chosen, Generation
from harness.store.leftovers import is_left_over, remove

GENERATION = "generation_config.json"
CACHE = "cache"
"""Beside the served folder, in the layout of the hub's cache: transformers' server lists and loads by name
what lies there, which is the served model and nothing else of this user's."""
COMMIT = "0" * 40
MERGE_TAIL = 2000


@contextlib.contextmanager
def made(chosen: Chosen, run_folder: Path | None) -> Iterator[Path]:
    """The parent of a folder called `chosen.served.name`, for the body.

    Of a run's weights it holds hard links; adapters are folded into their model by another process first.
    A model folder is linked to as it is. Raises UserError where it cannot be written.
    """
    if run_folder is None or chosen.tokenizer is None or chosen.generation is None:
        with tempfile.TemporaryDirectory(prefix="harness-serve-") as linked:
            (Path(linked) / chosen.served.name).symlink_to(chosen.weights, target_is_directory=True)
            _list_alone(Path(linked), chosen.served.name)
            yield Path(linked)
        return
    parent = run_folder / f".served.{os.getpid()}"
    try:
        try:
            for left in filter(is_left_over, run_folder.glob(".served.*")):
                remove(left)
            parent.mkdir()
            _fill(parent / chosen.served.name, chosen, chosen.tokenizer, chosen.generation)
            _list_alone(parent, chosen.served.name)
        except OSError as error:
            raise UserError(
                f"cannot be written to ({error.strerror})",
                where=str(run_folder),
                remedy="copy the root to a disk that can be written to, and give it by --out",
            ) from None
        yield parent
    finally:
        shutil.rmtree(parent, ignore_errors=True)


def _fill(folder: Path, chosen: Chosen, tokenizer: Path, generation: Generation) -> None:
    if not tokenizer.is_dir():
        raise UserError(
            "the prepared tokenizer is gone", where=str(tokenizer), remedy="run the comparison again"
        )
    if chosen.precision is None:
        _link(chosen.weights, folder)
    else:
        _merge(chosen.weights, folder, chosen.precision)
    _link(tokenizer, folder)
    # Written anew and not over a link, whose other name is a file of the run.
    (folder / GENERATION).unlink(missing_ok=True)
    (folder / GENERATION).write_text(json.dumps(generation, indent=1), encoding="utf-8")


def _list_alone(parent: Path, name: str) -> None:
    model = parent / CACHE / f"models--{name}"
    for folder in (model / "refs", model / "blobs", model / "snapshots" / COMMIT):
        folder.mkdir(parents=True)
    (model / "refs" / "main").write_text(COMMIT)
    (model / "snapshots" / COMMIT / "config.json").symlink_to(parent.resolve() / name / "config.json")


def _link(source: Path, folder: Path) -> None:
    folder.mkdir(exist_ok=True)
    for file in sorted(source.iterdir()):
        if not file.is_file() or (folder / file.name).exists():
            continue
        try:
            os.link(file, folder / file.name)
        except OSError:
            # Some disks have no hard links.
            (folder / file.name).symlink_to(file.resolve())


def _merge(adapters: Path, folder: Path, precision: str) -> None:
    """In a process of its own, since this one imports no torch."""
    print("Folding the adapters into their model ...", flush=True)
    done = subprocess.run(
        [sys.executable, "-m", "harness.generate.merged", str(adapters), str(folder), precision],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise StageFailed(
            "serve (adapters)",
            cause=f"they could not be folded into their model (exit code {done.returncode})",
            log_path=str(adapters),
            log_tail=done.stderr[-MERGE_TAIL:].strip(),
        )
