"""`--again`: which stages run again although they are finished, and what becomes of what they were."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from types import TracebackType

from rich.console import Console

from harness.errors import UserError, nearest
from harness.records import Plan, StageKind
from harness.store.aside import put_back, set_aside
from harness.store.run_dir import RunRoot

GROUPS: dict[str, tuple[StageKind, ...]] = {
    "train": ("train",),
    "evaluate": ("evaluate", "judge"),
    "all": ("prepare", "check", "rehearse", "rehearse_evaluate", "train", "evaluate", "judge"),
}


def to_run_again(plan: Plan, words: Iterable[str]) -> set[str]:
    """The stages that `words` name and all that is made from them.

    A word is a stage's name as a plan shows it, an arm (its training and scoring), or one of `GROUPS`.
    Raises UserError for another.
    """
    chosen = {digest for word in words for digest in _named(plan, word)}
    for digest in plan.order:
        if chosen & set(plan.stages[digest].needs.values()):
            chosen.add(digest)
    return chosen


def _named(plan: Plan, word: str) -> list[str]:
    if word in GROUPS:
        return [digest for digest in plan.order if plan.stages[digest].kind in GROUPS[word]]
    named = [digest for digest in plan.order if plan.stages[digest].name == word]
    for cell in plan.cells:
        if cell.arm == word:
            named += [*cell.stages, *([cell.evaluate] if cell.evaluate else [])]
    if not named:
        arms = list(dict.fromkeys(cell.arm for cell in plan.cells))
        known = [*GROUPS, *arms, *(stage.name for stage in plan.stages.values())]
        guess = nearest(word, known)
        raise UserError(
            f'no stage or arm "{word}"',
            where="--again",
            remedy=f"{f'did you mean {guess}? ' if guess else ''}give {', '.join([*GROUPS, *arms])}, or a "
            "stage's name as `harness plan` shows it",
        )
    return named


class Again:
    """Sets stages aside for the time of a `with`; what an interruption left undone is put back.

    Several plans of one comparison may pass by (settings that fit, a matched budget): a stage is set aside
    once, so that what one plan made again serves the next.
    """

    def __init__(self, root: RunRoot, words: Sequence[str], console: Console) -> None:
        self._root, self._words, self._console = root, words, console
        self._seen: set[str] = set()
        self._moved: dict[str, Path] = {}

    @property
    def chosen(self) -> frozenset[str]:
        """The stages that are to run again, of all plans so far."""
        return frozenset(self._seen)

    def set_aside(self, plan: Plan) -> None:
        """Set aside what `plan` is to run again."""
        chosen = to_run_again(plan, self._words) - self._seen
        self._seen |= chosen
        self._moved |= set_aside(self._root, [digest for digest in plan.order if digest in chosen])

    def __enter__(self) -> Again:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        returned = put_back(self._root, self._moved) if kind is not None else []
        kept = [folder for digest, folder in self._moved.items() if digest not in returned]
        if kept:
            self._console.print(
                f"What ran again is kept as it was, {len(kept)} stage(s), in {kept[0].parent}/*.*; "
                "delete it when no report needs it.",
                highlight=False,
            )
