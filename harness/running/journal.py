"""A queue on disk for one tracker: what one command tells it, and how much of that was sent.

`<root>/tracking/<tracker>/<moment>-<process>.jsonl` is only ever appended to, beside it `.sent` says what a
tracker took. Both go when all is sent. Who holds the file's lock may send; it is free when its holder died.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from itertools import islice, takewhile
from pathlib import Path

from harness.running.told import Context, item_of

FOLDER = "tracking"
MOST_LINES = 2000
"""Read at once."""
BLOCK = 1 << 18

Line = tuple[int, bytes]
"""Where a line begins, and its bytes with their end."""


class Journal:
    """An open queue, whose lock this process holds; made by `new` or `opened`.

    `end` is where the file ends; all lines before `done` were sent, and of those after it the ones in `sent`.
    """

    def __init__(self, path: Path, fd: int, project: str, first: int) -> None:
        self.path, self.project = path, project
        self.end = self.done = self._first = first
        self.sent: set[int] = set()
        self._fd = fd
        self._notes = os.open(path.with_suffix(".sent"), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)

    def append(self, line: bytes) -> None:
        """Keep a line; one that a full disk cuts is taken back, and OSError raised."""
        written = os.pwrite(self._fd, line, self.end)
        if written < len(line):
            os.ftruncate(self._fd, self.end)
            raise OSError(f"{self.path}: no space for {len(line)} bytes")
        self.end += len(line)

    def lines(self, start: int, most: int = MOST_LINES) -> list[Line]:
        """At most so many whole lines from `start` on."""
        return list(islice(self._from(start), most))

    def unsent(self, until: int, most: int = MOST_LINES) -> list[Line]:
        """At most so many lines before `until` that were not sent, in order."""
        before = takewhile(lambda line: line[0] < until, self._from(self.done))
        return list(islice((line for line in before if line[0] not in self.sent), most))

    def _from(self, start: int) -> Iterator[Line]:
        size = BLOCK
        while start < self.end:
            block = os.pread(self._fd, min(size, self.end - start), start)
            whole = block[: block.rfind(b"\n") + 1]
            if not whole and len(block) < size:
                return
            size = BLOCK if whole else 2 * size
            for line in whole.splitlines(keepends=True):
                yield start, line
                start += len(line)

    def note(self, lines: Sequence[Line]) -> None:
        """These lines were sent."""
        self.sent |= {at for at, _ in lines}
        self._write("some", *(str(at) for at, _ in lines))

    def note_until(self, offset: int) -> None:
        """All lines before `offset` were sent."""
        self.done, self.sent = offset, {at for at in self.sent if at >= offset}
        self._write("all", str(offset))

    def _write(self, *words: str) -> None:
        os.write(self._notes, (" ".join(words) + "\n").encode())

    @property
    def is_empty(self) -> bool:
        """Whether nothing waits."""
        return self.done >= self.end or not self.unsent(self.end, most=1)

    def waiting(self) -> int:
        """How many lines wait."""
        return sum(at not in self.sent for at, _ in self._from(self.done))

    def contexts(self) -> tuple[Context, Context]:
        """What the tracker was told, and what it will have been told in the end."""
        told, all_of_it = Context(), Context()
        for at, line in self._from(self._first):
            try:
                item = item_of(line)
            except ValueError:
                continue
            all_of_it.take(item)
            if at < self.done or at in self.sent:
                told.take(item)
        return told, all_of_it

    def close(self, *, remove: bool = False) -> None:
        """Free the lock; `remove` where nothing waits and nothing more will come."""
        if remove:
            self.path.with_suffix(".sent").unlink(missing_ok=True)
            self.path.unlink(missing_ok=True)
            for folder in (self.path.parent, self.path.parent.parent):
                try:
                    folder.rmdir()
                except OSError:
                    break  # It holds another queue.
        os.close(self._notes)
        os.close(self._fd)

    def recall(self) -> None:
        """Read what was sent; lines that a crash cut off are as if they had never been written."""
        size = os.fstat(self._fd).st_size
        self.end = size
        whole = [at + len(line) for at, line in self._from(self._first)]
        self.end = whole[-1] if whole else self._first
        os.ftruncate(self._fd, self.end)
        for line in self.path.with_suffix(".sent").read_text().splitlines(keepends=True):
            words = line.split()
            if not line.endswith("\n") or not words:
                continue
            offsets = [int(word) for word in words[1:]]
            if words[0] == "all":
                self.done = max(self.done, min(self.end, *offsets))
            else:
                self.sent |= set(offsets)
        self.sent = {at for at in self.sent if at >= self.done}


def new(root: Path, tracker: str, project: str) -> Journal:
    """An empty queue of this process."""
    folder = root / FOLDER / tracker
    folder.mkdir(parents=True, exist_ok=True)
    moment = f"{datetime.now(UTC):%Y%m%dT%H%M%S%f}"
    path = folder / f"{moment}-{os.getpid()}.jsonl"
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o666)
    fcntl.flock(fd, fcntl.LOCK_EX)
    head = json.dumps({"schema_version": 1, "project": project}).encode("ascii") + b"\n"
    os.write(fd, head)
    return Journal(path, fd, project, len(head))


def opened(path: Path) -> Journal | None:
    """The queue of a command that is over; None where another process sends it, or it is gone or no queue."""
    try:
        fd = os.open(path, os.O_RDWR)
    except OSError:
        return None
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        head = os.pread(fd, 1 << 16, 0).partition(b"\n")[0]
        project = str(json.loads(head)["project"])
        if not os.path.samestat(os.fstat(fd), path.stat()):
            raise FileNotFoundError(path)
        journal = Journal(path, fd, project, len(head) + 1)
    except (OSError, ValueError, TypeError, KeyError):
        os.close(fd)
        return None
    journal.recall()
    return journal


def paths(root: Path, tracker: str | None = None) -> list[Path]:
    """The queues in a run root, those of one tracker or of all, the oldest first."""
    return sorted((root / FOLDER).glob(f"{tracker or '*'}/*.jsonl"), key=lambda path: path.name)
