"""Judges, one file each: `Config`, `check(config)` and `make(config, cache)`, which returns a Judge.

A judge has `name` and `prefer_all`. It may have `grade_all` (single answers), `complete_all` (free text,
for benchmarks with prompts of their own), `announce` (what it is going to ask, and what that costs),
`usage` (what it asked and what that cost) and `agreement` (how far its members agree). A module may have
`files(config)`: the files, folders and hub repositories that its settings name, so that a change of their
contents judges again.

A preference is a number in [0, 1] everywhere: 1 where the first answer is better. alpaca_eval's 1 to 2 is
written and read where its code is called, and nowhere else.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol, cast, runtime_checkable

from harness import registry
from harness.errors import UserError
from harness.generate import Prompt
from harness.judges._verdicts import written_grade as written_grade
from harness.pipeline.named import NeedsHub
from harness.pipeline.spec_model import SpecModel

Progress = Callable[[int, int], None]
Duel = tuple[str, str, str]
"""A prompt, the first answer and the second."""


COUNTED = ("calls", "cache_hits", "retries", "input_tokens", "output_tokens", "money")
NO_ANSWERS = "no_answers"
"""Among what a judge says it asked: how many replies held no answer, by what was wrong with them."""
COMMAND = "HARNESS_COMMAND"
"""The variable that names the command for which a process works: what a cap on money holds for."""


@runtime_checkable
class Judge(Protocol):
    """Says which of two answers is better."""

    name: str

    def prefer_all(self, duels: Sequence[Duel], progress: Progress = ...) -> list[float | None]:
        """1 where the first answer is better, 0 the second, 0.5 a tie, None where it could not tell."""


@runtime_checkable
class GradingJudge(Judge, Protocol):
    """A judge that can also grade single answers."""

    def grade_all(self, answers: Sequence[tuple[str, str]], progress: Progress = ...) -> list[float | None]:
        """A score in [0, 1] of each (prompt, answer), None where it could not tell."""


@runtime_checkable
class WritingJudge(Judge, Protocol):
    """A judge that answers prompts of a benchmark's own."""

    def complete_all(
        self, conversations: Sequence[Sequence[tuple[str, str]]], max_tokens: int, progress: Progress = ...
    ) -> list[str]:
        """The reply to each conversation of (role, text) messages."""


@runtime_checkable
class CostlyJudge(Protocol):
    """A judge that says what it will ask and what that costs, and afterwards what it did."""

    def announce(self, duels: Sequence[Duel]) -> None: ...


@runtime_checkable
class CountingJudge(Protocol):
    """A judge that says what it asked and what that cost."""

    def usage(self) -> dict[str, Any]: ...


@runtime_checkable
class AgreeingJudge(Protocol):
    """A judge of several members."""

    def agreement(self, duels: Sequence[Duel]) -> float | None:
        """Krippendorff's alpha of the members over these duels alone, as they judged them."""


class JudgeModule(Protocol):
    """What every judge's module has; `check` raises UserError for what it lacks."""

    Config: type[SpecModel]

    def check(self, config: SpecModel) -> None: ...

    def make(self, config: SpecModel, cache: Path | None = None) -> Judge:
        """The judge; `cache` is where one that costs something keeps its replies."""


@runtime_checkable
class KnowsPrompts(Protocol):
    """A judge's module that can tell right from wrong for some prompts alone."""

    def check_prompts(self, prompts: Sequence[str], where: str) -> None:
        """Raise UserError where it knows none of them."""


def load_judge(name: str, *, where: str | None = None) -> JudgeModule:
    """The judge called `name`; raises UserError for an unknown one."""
    return cast(JudgeModule, registry.load("judges", name, where=where))


def grading(judge: Judge, name: str, remedy: str) -> GradingJudge:
    """`judge`, which `name` means in the settings; raises UserError where it cannot grade a single answer."""
    if not isinstance(judge, GradingJudge):
        raise UserError(f"judge {name} cannot grade a single answer", remedy=remedy)
    return judge


def quiet(done: int, total: int) -> None:
    """No progress shown."""


def check_prompts(module: JudgeModule, prompts: Sequence[Prompt], where: str) -> None:
    """Raise UserError where the judge can say nothing on any of these prompts; `where` names its setting."""
    if isinstance(module, KnowsPrompts):
        module.check_prompts([prompt.messages[-1]["content"] for prompt in prompts], where)


def judge_needs_hub(module: JudgeModule, config: SpecModel) -> bool:
    """Whether a judge's own model may have to be fetched from a hub."""
    return isinstance(module, NeedsHub) and module.needs_hub(config)


def announce(judge: Judge, duels: Sequence[Duel]) -> None:
    """Let a judge that costs something say, before the first call, what all duels will cost."""
    if isinstance(judge, CostlyJudge):
        judge.announce(duels)


def cache_of(out: Path) -> Path:
    """Where judges keep replies: in the run root that holds a stage's folder `out`."""
    return out.parent.parent / "cache" / "judges"


def preferences_of(judge: Judge, duels: Sequence[Duel], progress: Progress = quiet) -> list[float | None]:
    """What the judge prefers, one value in [0, 1] or None a duel; raises UserError for anything else."""
    return _checked(judge, "preference", judge.prefer_all(duels, progress), len(duels))


def grades_of(judge: GradingJudge, answers: Sequence[tuple[str, str]]) -> list[float | None]:
    """The judge's grades, one value in [0, 1] or None an answer; raises UserError for anything else."""
    return _checked(judge, "grade", judge.grade_all(answers), len(answers))


def _checked(judge: Judge, what: str, values: Sequence[Any], asked: int) -> list[float | None]:
    if len(values) != asked:
        raise UserError(
            f"judge {judge.name} returned {len(values)} {what}s for {asked} questions",
            remedy="mend the judge: one value for each question, None where it could not tell",
        )
    for number, value in enumerate(values):
        if value is not None and not (isinstance(value, int | float) and 0 <= value <= 1):
            raise UserError(
                f"judge {judge.name} returned {value!r} as {what} {number}, which is not between 0 and 1",
                remedy="mend the judge: 1 where the first answer is better, 0 the second, 0.5 a tie, None "
                "where it could not tell; grades are shares of the full grade",
            )
    return [None if value is None else float(value) for value in values]


def agreement_of(judge: Judge, duels: Sequence[Duel]) -> dict[str, float | None]:
    """How far a judge's members agree on these duels; nothing for one without members."""
    if not isinstance(judge, AgreeingJudge):
        return {}
    return {"krippendorff_alpha": judge.agreement(duels)}


def usage_of(judge: Judge, before: dict[str, Any] | None = None) -> dict[str, Any]:
    """What a judge says it asked, less what it had asked `before`; nothing for one that asks nobody."""
    return _less(judge.usage(), before or {}) if isinstance(judge, CountingJudge) else {}


def _less(now: dict[str, Any], before: dict[str, Any], *, every: bool = False) -> dict[str, Any]:
    """Counts since `before`, members' too; what is no count stays, unless `every` value is one."""
    since: dict[str, Any] = {}
    for name, value in now.items():
        earlier = before.get(name)
        if isinstance(value, dict):
            value = _less(value, earlier or {}, every=name == NO_ANSWERS)
        elif (every or name in COUNTED) and value is not None and earlier:
            value -= earlier
        since[name] = value
    return since
