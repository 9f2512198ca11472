"""Pairs to token ids, once for every arm, with what was truncated or dropped on the way."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from harness.data.schemas import Messages, Pair
from harness.data.template import Template, last_turn_end
from harness.errors import UserError
from harness.jsonl import well_formed

Ids = tuple[list[int], list[int], list[int]]
IDENTICAL, EMPTY = "chosen = rejected", "empty answer"
TOO_LONG, NO_PROMPT = "prompt fills max_length", "no token before the answer"
SAME_TOKENS = "chosen = rejected in tokens"
"""Answers that differ only in what the template leaves out or in what truncation cuts away."""
ROOM = 2
"""Tokens that a prompt must leave. TRL's ORPO sets a BOS before a prompt whose template writes none; with
room for one token it would cut the whole answer away, and its mean log-prob would be 0 / 0."""


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
    """The kept pairs, and how many were dropped for which reason.

    `repaired` counts pairs that held lone surrogates, which no tokenizer takes.
    """

    kept: list[TokenPair] = field(default_factory=list)
    dropped: dict[str, int] = field(default_factory=dict)
    repaired: int = 0
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
    """Apply the template and truncate; a pair that teaches nothing then is dropped for every arm."""
    result = Tokenised()
    for index, raw in enumerate(pairs):
        if index % 200 == 0:
            progress(index, len(pairs))
        pair = _repair(raw)
        result.repaired += pair is not raw
        if needs_rejected and pair.chosen == pair.rejected:
            result.drop(IDENTICAL)
        elif not pair.chosen.strip() or (needs_rejected and not pair.rejected.strip()):
            result.drop(EMPTY)
        else:
            ids = _ids(pair, tokenizer, template, needs_rejected)
            _count_unknown(result, tokenizer, [token for part in ids for token in part])
            _keep(result, pair, ids, max_length)
    progress(len(pairs), len(pairs))
    return result


def _keep(result: Tokenised, pair: Pair, ids: Ids, max_length: int) -> None:
    """Truncate each response to the room its prompt leaves, or drop the pair."""
    prompt, chosen, rejected = ids
    shortest = result.shortest_prompt
    result.shortest_prompt = len(prompt) if shortest is None else min(shortest, len(prompt))
    room = max_length - len(prompt)
    if not prompt:
        result.drop(NO_PROMPT)
    elif room < ROOM:
        result.drop(TOO_LONG)
    elif chosen[:room] == rejected[:room]:
        result.drop(SAME_TOKENS)
    else:
        truncated = max(len(chosen), len(rejected)) > room
        result.kept.append(TokenPair(pair, prompt, chosen[:room], rejected[:room], truncated))


def _repair(pair: Pair) -> Pair:
    """The pair itself, or one whose text every tokenizer takes."""
    prompt = [{**message, "content": well_formed(message["content"])} for message in pair.prompt]
    repaired = Pair(pair.id, prompt, well_formed(pair.chosen), well_formed(pair.rejected))
    return pair if repaired == pair else repaired


def _ids(pair: Pair, tokenizer: Any, template: Template, needs_rejected: bool) -> Ids:
    """Prompt and responses, parted where the rendered prompt stops being a prefix of both.

    The same rule as TRL's `common_prefix_length`: a prompt whose last token merges with the
    answer's first loses that token to the answers.
    """
    from jinja2 import TemplateError

    answers = [pair.chosen, pair.rejected] if needs_rejected else [pair.chosen]
    try:
        prompt = render(tokenizer, pair.prompt, generation=True)
        wholes = [render(tokenizer, [*pair.prompt, {"role": "assistant", "content": a}]) for a in answers]
    except TemplateError as error:
        raise UserError(
            f'the chat template refuses the messages of pair "{pair.id}" ({error})',
            remedy="use --set data.chat_template=default, or a template that takes these roles",
        ) from error
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
