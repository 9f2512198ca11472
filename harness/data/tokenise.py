"""Pairs to token ids, once for every arm, with what was truncated or dropped on the way."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from harness.data.schemas import Messages, Pair
from harness.data.template import Template, last_turn_end


@dataclass(frozen=True)
class TokenPair:
    """Token ids of one pair; prompt and longer response fit into max_length together."""

    pair: Pair
    prompt_ids: list[int]
    chosen_ids: list[int]
    rejected_ids: list[int]
    truncated: bool


@dataclass
class Tokenised:
    """The kept pairs, and how many were dropped for which reason."""

    kept: list[TokenPair] = field(default_factory=list)
    dropped: dict[str, int] = field(default_factory=dict)
    unknown_tokens: int = 0
    tokens: int = 0
    shortest_prompt: int | None = None

    def drop(self, reason: str) -> None:
        """Count a pair that every arm loses."""
        self.dropped[reason] = self.dropped.get(reason, 0) + 1


def tokenise(
    pairs: list[Pair],
    tokenizer: Any,
    template: Template,
    *,
    max_length: int,
    needs_rejected: bool = True,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Tokenised:
    """Apply the template and truncate; a prompt that leaves no room drops its pair everywhere."""
    result = Tokenised()
    for index, pair in enumerate(pairs):
        if index % 200 == 0:
            progress(index, len(pairs))
        if needs_rejected and pair.chosen == pair.rejected:
            result.drop("chosen = rejected")
            continue
        prompt, chosen, rejected = _ids(pair, tokenizer, template, needs_rejected)
        _count_unknown(result, tokenizer, [*prompt, *chosen, *rejected])
        shortest = result.shortest_prompt
        result.shortest_prompt = len(prompt) if shortest is None else min(shortest, len(prompt))
        room = max_length - len(prompt)
        if room < 1:
            result.drop("prompt longer than max_length")
            continue
        truncated = max(len(chosen), len(rejected)) > room
        result.kept.append(TokenPair(pair, prompt, chosen[:room], rejected[:room], truncated))
    return result


def _ids(
    pair: Pair, tokenizer: Any, template: Template, needs_rejected: bool
) -> tuple[list[int], list[int], list[int]]:
    """Prompt and responses, parted where the rendered prompt stops being a prefix of both."""
    prompt = render(tokenizer, pair.prompt, generation=True)
    answers = [pair.chosen, pair.rejected] if needs_rejected else [pair.chosen]
    wholes = [
        render(tokenizer, [*pair.prompt, {"role": "assistant", "content": answer}]) for answer in answers
    ]
    cut = min(_common_prefix(prompt, whole) for whole in wholes)
    responses = [last_turn_end(tokenizer, whole[cut:], template.stop_token_ids) for whole in wholes]
    return prompt[:cut], responses[0], responses[1] if needs_rejected else []


def render(tokenizer: Any, messages: Messages, *, generation: bool = False) -> list[int]:
    """Token ids of a conversation; the template writes BOS, so the tokenizer must not."""
    text = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=generation)
    ids: list[int] = tokenizer(text, add_special_tokens=False)["input_ids"]
    return ids


def _common_prefix(a: list[int], b: list[int]) -> int:
    size = 0
    for x, y in zip(a, b, strict=False):
        if x != y:
            break
        size += 1
    return size


def _count_unknown(result: Tokenised, tokenizer: Any, ids: list[int]) -> None:
    result.tokens += len(ids)
    if tokenizer.unk_token_id is not None and tokenizer.unk_token_id != tokenizer.eos_token_id:
        result.unknown_tokens += ids.count(tokenizer.unk_token_id)
