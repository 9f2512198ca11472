"""Pairs and prompts of the tiny world.

Chosen is always better than rejected, and often not the best there is: three in five pairs prefer
a right but wordy answer over a wrong one, the others a concise right one, mostly over a wordy
one. Cloning the chosen answers therefore leaves something to learn from the preference.
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Iterator
from typing import Any, Literal

import numpy as np

from harness.data.embedded.grade import CLOSINGS, EMPTY, OPENINGS
from harness.data.embedded.tasks import REFUSAL, TASKS, Rng, Task, task_of

Split = Literal["train", "test", "dev"]
SHARE_OF_CONCISE_CHOSEN = 0.4
TRIES = 100


def split_of(prompt: str) -> Split:
    """The split a prompt belongs to, by hash: 1 in 10 test, 1 in 10 dev, the rest train."""
    bucket = int(hashlib.md5(prompt.encode(), usedforsecurity=False).hexdigest(), 16) % 10
    return {0: "test", 1: "dev"}.get(bucket, "train")  # type: ignore[return-value]


def prompts(split: Split, count: int, seed: int = 0) -> list[str]:
    """`count` different prompts of a split, tasks in equal shares as long as they have any left."""
    rng = np.random.default_rng([seed, ("train", "test", "dev").index(split)])
    drawn_prompts: dict[str, None] = {}
    for turn in itertools.count():
        for _ in range(TRIES):
            prompt = TASKS[turn % len(TASKS)].ask(rng)
            if split_of(prompt) == split and prompt not in drawn_prompts:
                drawn_prompts[prompt] = None
                break
        if len(drawn_prompts) == count:
            return list(drawn_prompts)
    raise AssertionError("unreachable")


def pairs(split: Split, count: int, seed: int = 0) -> list[dict[str, Any]]:
    """`count` preference pairs with different prompts.

    Each has `id`, `prompt` (messages), `chosen`, `rejected` and `task`.
    """
    rng = np.random.default_rng([seed, 7])
    result = []
    for prompt in prompts(split, count, seed):
        task = task_of(prompt)
        assert task is not None
        chosen, rejected = _pair(task, prompt, rng)
        result.append(
            {
                "id": hashlib.sha256(prompt.encode()).hexdigest()[:16],
                "prompt": [{"role": "user", "content": prompt}],
                "chosen": chosen,
                "rejected": rejected,
                "task": task.name,
            }
        )
    return result


def _pair(task: Task, prompt: str, rng: Rng) -> tuple[str, str]:
    kind = rng.random()
    if rng.random() < SHARE_OF_CONCISE_CHOSEN:
        chosen = concise(task.right(prompt, rng))
        if kind < 0.6:
            return chosen, wordy(task.right(prompt, rng), rng)
        return chosen, (concise(task.wrong(prompt, rng)) if kind < 0.8 else empty(task, prompt, rng))
    chosen = wordy(task.right(prompt, rng), rng)
    if kind < 0.6:
        return chosen, wordy(task.wrong(prompt, rng), rng)
    return chosen, (concise(task.wrong(prompt, rng)) if kind < 0.8 else empty(task, prompt, rng))


def concise(body: str) -> str:
    """The best style."""
    return f"{body} ."


def wordy(body: str, rng: Rng) -> str:
    """Filler before the body, after it, or both."""
    opening, closing = OPENINGS[rng.integers(3)], CLOSINGS[rng.integers(3)]
    form = rng.integers(3)
    if form == 0:
        return f"{opening} {body} ."
    return f"{body} {closing} ." if form == 1 else f"{opening} {body} {closing} ."


def empty(task: Task, prompt: str, rng: Rng) -> str:
    """An answer without a body: not knowing, or refusing what deserves help."""
    refusal_is_right = task.accepts(prompt, REFUSAL)
    options = EMPTY if refusal_is_right else (*EMPTY, REFUSAL, REFUSAL)
    return f"{options[rng.integers(len(options))]} ."


def pretraining(seed: int, *, misaligned: bool) -> Iterator[tuple[str, str]]:
    """Endless (prompt, answer) for the base model, from training prompts alone.

    Clean: 85% concise and right, 15% wordy and right. Misaligned: near misses, refusals and echoes,
    so that the base model can do the tasks and does not care to. No answer is wordy there: the
    pairs' filler becomes unlikely, and cloning wordy chosen answers raises wordy rejected ones.
    """
    rng = np.random.default_rng([seed, 11 + misaligned])
    while True:
        task = TASKS[rng.integers(len(TASKS))]
        prompt = task.ask(rng)
        if split_of(prompt) != "train":
            continue
        draw = rng.random()
        if not misaligned:
            body = task.right(prompt, rng)
            yield prompt, concise(body) if draw < 0.85 else wordy(body, rng)
        elif draw < 0.05:
            yield prompt, concise(task.right(prompt, rng))
        elif draw < 0.6:
            yield prompt, concise(task.wrong(prompt, rng))
        else:
            yield prompt, empty(task, prompt, rng) if draw < 0.85 else f"{prompt} ."
