"""FLOPs of answering prompts token by token, from counts of small answers.

Answering `sequences` prompts of `prompt` tokens by `new` ones is a pass over the prompts and a pass for each
further token, which looks at all before it. What it costs is a polynomial in these numbers, so a few small
answers fix it, and others, one of them of the run's own lengths, check it; where a check fails (attention
within windows) all of the run's answers are counted by making them again.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from harness.measure.counting import count
from harness.measure.flops import solve


@dataclass(frozen=True, order=True)
class Answers:
    """Answers made at once: so many prompts, padded to `prompt` tokens, and the longest answer's tokens."""

    sequences: int
    prompt: int
    new: int


FIT_ON = tuple(
    Answers(*numbers)
    for numbers in (
        *((1, 3, 1), (2, 3, 1), (1, 5, 1), (2, 6, 1), (1, 8, 1)),
        *((1, 3, 2), (2, 3, 3), (1, 4, 4), (2, 5, 4)),
    )
)
HELD_OUT = Answers(3, 7, 5)


class AnswerFlops:
    """FLOPs of any answers by `make`, of which `expected` are to come."""

    def __init__(self, make: Callable[[Answers], object], expected: Sequence[Answers]) -> None:
        self._make, self._done = make, dict[Answers, int]()
        longest = Answers(2, max(a.prompt for a in expected), max(a.new for a in expected))
        fitted = solve([_terms(a) for a in FIT_ON], [self._counted(a) for a in FIT_ON])
        checks = (HELD_OUT, longest)
        self._fit = fitted if all(_at(fitted, a) == self._counted(a) for a in checks) else None

    def of(self, answers: Answers) -> int:
        """FLOPs of `answers`."""
        return self._counted(answers) if self._fit is None else int(_at(self._fit, answers))

    def _counted(self, answers: Answers) -> int:
        if answers not in self._done:
            self._done[answers] = count(lambda: self._make(answers)).total
        return self._done[answers]


def _terms(a: Answers) -> tuple[int, ...]:
    """Over the prompts: tokens, their attention, sequences, a position and a pass; over the further tokens
    the same, where attention sees all before."""
    n, p, more = a.sequences, a.prompt, a.new - 1
    seen = more * p + more * (more + 1) // 2
    return (n * p, n * p * p, n, p, 1, n * more, n * seen, more, seen)


def _at(coefficients: Sequence[Fraction], answers: Answers) -> Fraction:
    return sum((c * t for c, t in zip(coefficients, _terms(answers), strict=True)), Fraction())


def answered(model: Any, answers: Answers, settings: Any) -> Any:
    """Make such answers of random prompts, none of which ends early; `settings` is a GenerationConfig."""
    import torch

    ids = torch.randint(
        3, 32, (answers.sequences, answers.prompt), generator=torch.Generator().manual_seed(0)
    )
    ids = ids.to(model.device)
    with torch.no_grad():
        return model.generate(
            input_ids=ids,
            attention_mask=torch.ones_like(ids),
            generation_config=settings,
            max_new_tokens=answers.new,
            min_new_tokens=answers.new,
        )


def by_step(steps: Sequence[int], flops: Sequence[int]) -> dict[int, int]:
    """FLOPs by the micro-batch that each step begins with; fewer than the steps are taken in turn."""
    found, place = Counter[int](), 0
    for number, size in enumerate(steps):
        found[place] += flops[number % len(flops)]
        place += size
    return dict(found)
