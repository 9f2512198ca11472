"""Conversations of several turns: each answer becomes part of the next question."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import replace

from harness.generate import Answer, LoadedModel, Prompt
from harness.generate.answer import Progress, answer
from harness.pipeline.spec import GenerationSpec


def answer_turns(
    loaded: LoadedModel,
    prompts: list[Prompt],
    settings: GenerationSpec,
    progress: Progress = lambda done, total: None,
    known: Mapping[str, Answer] | None = None,
) -> list[Answer]:
    """Answers to `prompts` and then, turn by turn, to their follow-ups.

    Prompts that ask the same are answered once a turn, and those that `known` has an answer to (by
    the digest of their messages) not at all. `meta` of an answer to a follow-up holds `earlier`: the
    messages before its question.
    """
    found = dict(known or {})
    total = sum(1 + len(prompt.follow_ups) for prompt in prompts)
    answers: list[Answer] = []
    while prompts:
        fresh = {d: p for p in prompts if (d := digest_of_messages(p)) not in found}
        done = len(answers)
        if fresh:
            made = answer(loaded, list(fresh.values()), settings, _after(progress, done, total))
            found |= dict(zip(fresh, made, strict=True))
        turn = [_for(prompt, found[digest_of_messages(prompt)]) for prompt in prompts]
        prompts = [_next(p, a) for p, a in zip(prompts, turn, strict=True) if p.follow_ups]
        answers += turn
    return answers


def _after(progress: Progress, before: int, total: int) -> Progress:
    """Progress of one turn as part of all."""
    return lambda done, _: progress(before + done, total)


def _for(prompt: Prompt, made: Answer) -> Answer:
    """The answer under this prompt's own name."""
    return replace(
        made,
        id=prompt.id,
        benchmark=prompt.benchmark,
        reference=prompt.reference,
        meta=prompt.meta,
        asked=digest_of_messages(prompt),
    )


def digest_of_messages(prompt: Prompt) -> str:
    """16 hex digits that name a conversation."""
    text = json.dumps(prompt.messages, sort_keys=True)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]


def _next(prompt: Prompt, made: Answer) -> Prompt:
    """The next question of a conversation."""
    (name, text), *rest = prompt.follow_ups
    said = [*prompt.messages, {"role": "assistant", "content": made.text}]
    return replace(
        prompt,
        id=name,
        messages=[*said, {"role": "user", "content": text}],
        meta={**prompt.meta, "earlier": said},
        follow_ups=rest,
    )
