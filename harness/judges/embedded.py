"""The tiny world's programmatic judge: knows the right answers and likes them concise."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from harness.errors import UserError
from harness.judges import Duel, Progress, quiet
from harness.pipeline.spec_model import SpecModel


class Config(SpecModel):
    """Nothing to set."""


class EmbeddedJudge:
    """Compares the grades of two answers."""

    name = "embedded-programmatic-1"

    def grade(self, prompt: str, answer: str) -> float:
        """The world's grade in [0, 1]."""
        from harness.data.embedded.grade import grade

        return grade(prompt, answer)

    def grade_all(self, answers: Sequence[tuple[str, str]], progress: Progress = quiet) -> list[float | None]:
        """The grade of each (prompt, answer)."""
        return [self.grade(prompt, answer) for prompt, answer in answers]

    def prefer_all(self, duels: Sequence[Duel], progress: Progress = quiet) -> list[float | None]:
        """The better grade wins; equal grades tie."""
        grades = [(self.grade(prompt, a), self.grade(prompt, b)) for prompt, a, b in duels]
        return [0.5 if a == b else float(a > b) for a, b in grades]


def make(config: Config, cache: Path | None = None) -> EmbeddedJudge:
    """The judge."""
    return EmbeddedJudge()


def check_prompts(prompts: Sequence[str], where: str) -> None:
    """Raise UserError for prompts of another world, to which every answer would be as wrong as any other."""
    from harness.data.embedded.tasks import task_of

    if not any(task_of(" ".join(prompt.split())) for prompt in prompts):
        raise UserError(
            f"the judge embedded knows the embedded data's rules alone, which none of {len(prompts)} prompts "
            "follows: every comparison would be a tie",
            where=where,
            remedy="name a judge that reads them, such as openai or reward_model (docs/scores.md)",
        )


def check(config: Config) -> None:
    """Nothing can be missing."""
