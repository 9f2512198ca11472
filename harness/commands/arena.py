"""`harness arena`: two arms' answers side by side before a person, blind: votes, pairs, one more judge."""

from __future__ import annotations

import getpass
import webbrowser
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from harness.arena.duels import Duels, Sides, of_run, sides_of
from harness.arena.pairs import FILE as PAIRS
from harness.arena.pairs import write_pairs
from harness.arena.server import Arena
from harness.arena.session import Session, Who
from harness.commands import report as report_command
from harness.commands.arena_answers import answered, write_training_prompts
from harness.commands.arena_shown import print_counts
from harness.commands.view import view_of
from harness.errors import UserError
from harness.lock_file import Held, LockFile
from harness.records import ComparisonRecord, PlannedCell
from harness.store.run_dir import RunRoot, read_record
from harness.terminal import PlainConsole
from harness.votes import Vote, VoteFile, model_of, read_votes, votes_path

LONGEST_NAME = 60
TEST, TRAIN = "test", "train"


@dataclass(frozen=True)
class Wish:
    """Which arms at which seed, on which prompts (`test`, `train` or a file), by whom, and on which page."""

    arms: Sequence[str] | None
    seed: int | None
    prompts: str
    voter: str | None
    port: int
    browser: bool


def run(name: str, wish: Wish, *, out: Path) -> int:
    """Serve the page until it is finished or Ctrl-C, then print what was voted and write the report again."""
    voter = _voter(wish.voter)
    folder = RunRoot(out).find_run(name)
    root = RunRoot(folder.parent)
    record = read_record(folder)
    view = view_of(record, root)
    sides = sides_of(view, wish.arms, wish.seed)
    path = votes_path(folder)
    with _alone(path.parent, record.id):
        found = _duels(root, record, sides, wish.prompts, path.parent)
        who = Who(
            voter, sides.a.arm, sides.b.arm, sides.a.seed, _model(record, sides.a), _model(record, sides.b)
        )
        session = Session(found.asked, who, VoteFile(path), _earlier(path, who))
        code = _sitting(session, found, wish)
        pairs = write_pairs(read_votes(path), record.id, path.parent / PAIRS)
    if not path.is_file():
        return code
    print_counts(session.votes, view_of(record, root), PlainConsole())
    print(f"Votes: {path}\nPairs: {path.parent / PAIRS} ({pairs} pair(s))", flush=True)
    if session.votes:
        page = report_command.write(record, root) / "report.html"
        print(f"Page: {page.resolve().as_uri()}", flush=True)
    return code


def _voter(name: str | None) -> str:
    """Who votes, by default the user of this machine; raises UserError for a name that shows as nothing."""
    try:
        voter = getpass.getuser() if name is None else name.strip()
    except (KeyError, OSError, ImportError):
        voter = "somebody"
    if not voter or len(voter) > LONGEST_NAME or not voter.isprintable():
        raise UserError(
            f"{voter[:LONGEST_NAME]!r} is no name of 1 to {LONGEST_NAME} printable letters",
            where="--voter",
            remedy="give one such as --voter ann",
        )
    return voter


@contextmanager
def _alone(folder: Path, run_id: str) -> Iterator[None]:
    """One arena a run at a time: two would write votes into each other's order."""
    lock = LockFile(folder / ".lock")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock.acquire(f"harness arena on {run_id}")
    except Held as held:
        raise UserError(
            f"{held.holder or 'another harness arena'} takes votes on this run",
            where=str(folder),
            remedy="vote there, or end it first",
        ) from None
    except OSError as error:
        raise UserError(
            f"cannot be written to ({error.strerror})",
            where=str(folder),
            remedy="copy the run to a disk that can be written to",
        ) from None
    try:
        yield
    finally:
        lock.release()


def _duels(root: RunRoot, record: ComparisonRecord, sides: Sides, prompts: str, folder: Path) -> Duels:
    """What the run answered of its test, or answers to other prompts, made first."""
    if prompts == TEST:
        return of_run(root, record, sides)
    file = write_training_prompts(root, record, folder) if prompts == TRAIN else Path(prompts)
    return answered(root, record, sides, file)


def _model(record: ComparisonRecord, cell: PlannedCell) -> str:
    return model_of(record.results[cell.stages[-1]])


def _earlier(path: Path, who: Who) -> list[Vote]:
    return [v for v in read_votes(path) if (v.a, v.b, v.seed) == (who.a, who.b, who.seed)]


def _sitting(session: Session, found: Duels, wish: Wish) -> int:
    """The page until its end; exit code 0 for Finish and Ctrl-C, else that of the signal."""
    pairs, again = session.planned
    if pairs == 0:
        left = f"this voter has seen every pair that differs; {found.equal} are of equal answers"
        print(f"Nothing is left to vote on: {left}.", flush=True)
        return 0
    with Arena(session, wish.port).running() as arena:
        twice = f", {again} of them twice" if again else ""
        print(f"{pairs} pair(s) to vote on{twice}; {found.equal} of equal answers are not shown.")
        print(f"Vote until Ctrl-C, or Finish on the page: {arena.url}", flush=True)
        try:
            if wish.browser:
                webbrowser.open(arena.url)
            while not arena.finished.wait(1.0):
                pass
        except KeyboardInterrupt as ended:
            return int(getattr(ended, "exit_code", 0))
    return 0
