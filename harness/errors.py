"""The ways in which a command, or a stage of it, ends badly."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

from harness.redact import redact


class UserError(Exception):
    """Something the user can fix: where it is, what is wrong, what to do. Exit code 2. Holds no secrets."""

    def __init__(self, fact: str, *, remedy: str, where: str | None = None) -> None:
        self.fact = redact(fact)
        self.remedy = redact(remedy)
        self.where = None if where is None else redact(where)
        super().__init__(str(self))

    def __str__(self) -> str:
        place = f"{self.where}: " if self.where else ""
        stop = "" if self.remedy.endswith((".", "?", "!")) else "."
        return f"{place}{self.fact}; {self.remedy}{stop}"


class StageFailed(Exception):
    """A stage's process ended without a result. Exit code 1; the log's last lines are shown.

    `again`: another attempt may end otherwise.
    """

    def __init__(self, stage: str, *, cause: str, log_path: str, log_tail: str, again: bool = True) -> None:
        self.again = again
        self.stage = stage
        self.cause = redact(cause)
        self.log_path = log_path
        self.log_tail = redact(log_tail)
        super().__init__(f"stage {stage} failed: {self.cause} (log: {log_path})")


class OutOfMemory(StageFailed):
    """A stage's process that found no more memory."""


class Diverged(Exception):
    """A training's numbers stopped being finite; ends its stage, and in words so the comparison's cell."""


class Interrupted(Exception):
    """The user pressed Ctrl-C; finished stages are kept. Exit code 130."""


class JobsLeft(Interrupted):
    """Jobs of a queueing system go on without the command that handed them over; `harness collect` goes on
    with the comparison `name`."""

    def __init__(self, name: str, jobs: list[str]) -> None:
        self.name, self.jobs = name, jobs
        super().__init__(
            f"{len(jobs)} job(s) go on without this command ({', '.join(jobs)}); `harness collect {name}` "
            "gathers what they made and goes on, `scancel` with these numbers ends them"
        )


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The known name closest to `name`, capitals aside, or None where nothing is close."""
    by_letters = {one.lower(): one for one in known}
    matches = difflib.get_close_matches(name.lower(), list(by_letters), n=1, cutoff=0.5)
    return by_letters[matches[0]] if matches else None


def unknown_name(kind: str, name: str, known: Iterable[str], *, where: str | None = None) -> UserError:
    """The error for a name that is in no list: suggests the nearest and shows the list."""
    names = sorted(known)
    guess = nearest(name, names)
    hint = f'did you mean "{guess}"? ' if guess else ""
    return UserError(
        f'unknown {kind} "{name}"',
        remedy=f"{hint}known: {', '.join(names) if names else 'none'}",
        where=where,
    )
