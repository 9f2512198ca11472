"""The tiny world's programmatic judge: knows the right answers and likes them concise."""

from __future__ import annotations

from harness.pipeline.spec import SpecModel


class Config(SpecModel):
    """Nothing to set."""


class EmbeddedJudge:
    """Compares the grades of two answers."""

    name = "embedded-programmatic-1"

    def grade(self, prompt: str, answer: str) -> float:
        """The world's grade in [0, 1]."""
        from harness.data.embedded.grade import grade

        return grade(prompt, answer)

    def prefer(self, prompt: str, first: str, second: str) -> float | None:
        """The better grade wins; equal grades tie."""
        a, b = self.grade(prompt, first), self.grade(prompt, second)
        return 0.5 if a == b else float(a > b)


def make(config: Config) -> EmbeddedJudge:
    """The judge."""
    return EmbeddedJudge()


def check(config: Config) -> None:
    """Nothing can be missing."""
