"""Conversations of several turns: each answer becomes part of the next question."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

from harness.generate import Answer, LoadedModel, Prompt
from harness.generate.answer import Progress, answer, digest_of_messages
from harness.pipeline.generation_spec import GenerationSpec


def answer_turns(
    loaded: LoadedModel | None,
    prompts: list[Prompt],
    settings: GenerationSpec,
    progress: Progress = lambda done, total: None,
    known: Mapping[str, Answer] | None = None,
    keep: Callable[[list[Answer]], None] = lambda answers: None,
) -> list[Answer]:
    """Answers to `prompts` and then, turn by turn, to their follow-ups.

    Prompts that ask the same are answered once a turn, and those that `known` has an answer to (by
    the digest of their messages) not at all: where it has all, no model is needed. `meta` of an
    answer to a follow-up holds `earlier`: the messages before its question.
    """
    by_digest = dict(known or {})
    total = sum(1 + len(prompt.follow_ups) for prompt in prompts)
    answers: list[Answer] = []
    while prompts:
        fresh = {d: p for p in prompts if (d := digest_of_messages(p)) not in by_digest}
        done = len(answers)
        if fresh:
            assert loaded is not None, "see all_known"
            fresh_answers = answer(
                loaded, list(fresh.values()), settings, _after(progress, done, total), keep
            )
            by_digest |= dict(zip(fresh, fresh_answers, strict=True))
        turn = [_for(prompt, by_digest[digest_of_messages(prompt)]) for prompt in prompts]
        prompts = [_next(p, a) for p, a in zip(prompts, turn, strict=True) if p.follow_ups]
        answers += turn
    return answers


def all_known(prompts: list[Prompt], known: Mapping[str, Answer]) -> bool:
    """Whether `known` answers every turn of `prompts`, so that nothing has to be generated."""
    while prompts:
        digests = [digest_of_messages(prompt) for prompt in prompts]
        if any(digest not in known for digest in digests):
            return False
        prompts = [_next(p, known[d]) for p, d in zip(prompts, digests, strict=True) if p.follow_ups]
    return True


def _after(progress: Progress, before: int, total: int) -> Progress:
    """Progress of one turn as part of all."""
    return lambda done, _: progress(before + done, total)


def _for(prompt: Prompt, answered: Answer) -> Answer:
    """The answer under this prompt's own name."""
    return replace(
        answered,
        id=prompt.id,
        benchmark=prompt.benchmark,
        reference=prompt.reference,
        meta=prompt.meta,
        asked=digest_of_messages(prompt),
    )


def _next(prompt: Prompt, answered: Answer) -> Prompt:
    """The next question of a conversation."""
    (name, text), *rest = prompt.follow_ups
    conversation = [*prompt.messages, {"role": "assistant", "content": answered.text}]
    return replace(
        prompt,
        id=name,
        messages=[*conversation, {"role": "user", "content": text}],
        meta={**prompt.meta, "earlier": conversation},
        follow_ups=rest,
    )
