"""The programmatic judge: is the body right, and is the style concise?

    1.0  right body, concise          0.2  wrong body, concise
    0.6  right body, with filler      0.1  wrong body, with filler
    0.0  no body: filler alone, an echo, a refusal where help was due, or nothing

Concise means: one final period, no filler, at most 12 tokens.
"""

from __future__ import annotations

from harness.data.embedded.tasks import REFUSAL, Task, task_of

OPENINGS = (
    "sure , here is the answer :",
    "great question , the answer is :",
    "well , let me think , it is :",
)
CLOSINGS = (", i hope this helps you", ", glad to help", ", thanks for asking me")
EMPTY = ("i do not know", "hm , let me think about that", "it is a very hard question")
MAX_TOKENS = 12


def grade(prompt: str, answer: str) -> float:
    """The judge's score of `answer` in [0, 1]; any string may be given."""
    task = task_of(" ".join(prompt.split()))
    body, concise = _body(answer)
    if task is None or not body or body in EMPTY:
        return 0.0
    prompt = " ".join(prompt.split())
    if _accepts(task, prompt, body):
        return 1.0 if concise else 0.6
    if body in (REFUSAL, prompt):
        return 0.0
    return 0.2 if concise else 0.1


def _accepts(task: Task, prompt: str, body: str) -> bool:
    """A prompt that only begins like a task's is no prompt of it, and nothing is right for it."""
    try:
        return task.accepts(prompt, body)
    except (ValueError, IndexError, AssertionError, StopIteration):
        return False


def _body(answer: str) -> tuple[str, bool]:
    """The answer without filler and final period, and whether it was concise."""
    text = " ".join(answer.split())
    concise = text.endswith(" .") and text.count(" .") == 1 and len(text.split()) <= MAX_TOKENS
    text = text.removesuffix(".").rstrip()
    for opening in OPENINGS:
        if text.startswith(opening):
            text, concise = text.removeprefix(opening).strip(), False
    for closing in CLOSINGS:
        if text.endswith(closing):
            text, concise = text.removesuffix(closing).strip(), False
    return text, concise
