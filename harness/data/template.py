"""Chat templates: the tokenizer's own, a file's, or a documented default for base models.

The default writes `### User:` and `### Assistant:` headings and ends each answer with the
tokenizer's end-of-sequence token, which is learned and stops generation.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from harness.data.schemas import digest
from harness.errors import UserError
from harness.pipeline.data_spec import DataSpec

DEFAULT_TEMPLATE = (
    "{{ bos_token if bos_token else '' }}{% for message in messages %}"
    "{% if message['role'] == 'user' %}{{ '### User:\\n' + message['content'] + '\\n\\n' }}"
    "{% elif message['role'] == 'system' %}{{ message['content'] + '\\n\\n' }}"
    "{% else %}{{ '### Assistant:\\n' + message['content'] + eos_token }}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}{{ '### Assistant:\\n' }}{% endif %}"
)
CHOICES = "auto, tokenizer, default or the path of a .jinja file"
DAY = DataSpec().template_date
_NOW = re.compile(r"""strftime_now\(\s*(?P<quote>["'])(?P<format>.*?)(?P=quote)\s*\)""")
_ANY_NOW = re.compile(r"strftime_now\s*\(")
_QUESTION, _ANSWER = "harness question", "harness answer"


@dataclass(frozen=True)
class Template:
    """Where the template came from, its digest, and the tokens that end a turn, EOS first.

    `day` is the date that it writes, None where it writes none.
    """

    source: str
    digest: str
    stop_token_ids: list[int]
    day: date | None = None


def apply_choice(tokenizer: Any, choice: str, day: date = DAY) -> Template:
    """Set the tokenizer's template by `auto`, `tokenizer`, `default` or a path, and its pad token.

    A template that writes today's date is set to write `day`.

    Raises UserError for a template that is missing, is malformed or leaves messages out. Where
    there is no pad token EOS pads; it is learned all the same, because labels are masked by
    length and not by token.
    """
    if tokenizer.eos_token_id is None:
        raise UserError("the tokenizer has no end-of-sequence token", remedy="set eos_token in its config")
    source = _choose(tokenizer, choice)
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
    written = day if pin_date(tokenizer, day) else None
    sample = _sample(tokenizer, choice)
    return Template(source, digest(tokenizer.chat_template), _stop_tokens(tokenizer, sample), written)


def pin_date(tokenizer: Any, day: date = DAY) -> bool:
    """Let the tokenizer's template write `day` as today's date; whether it writes any.

    The date is written into the template's text, in the place of calls of transformers' `strftime_now`, so
    that whoever renders the saved template, on whatever day, writes the same. Raises UserError for a
    format that is not spelled out in the call.
    """
    template = tokenizer.get_chat_template()
    fixed = _NOW.sub(lambda call: json.dumps(day.strftime(call["format"]), ensure_ascii=False), template)
    if _ANY_NOW.search(fixed):
        raise UserError(
            "the chat template writes today's date in a format that it computes, which cannot be pinned",
            remedy="give a template by data.chat_template that calls strftime_now with a quoted format",
        )
    tokenizer.chat_template = fixed
    return bool(fixed != template)


def digests_of(tokenizer: Any) -> dict[str, str]:
    """What names a tokenizer's vocabulary and its chat template, for the parity audit."""
    return {
        "tokenizer_digest": digest(json.dumps(sorted(tokenizer.get_vocab().items()))),
        "chat_template_digest": digest(tokenizer.chat_template),
    }


def _choose(tokenizer: Any, choice: str) -> str:
    has_own = bool(tokenizer.chat_template)
    if choice == "tokenizer" or (choice == "auto" and has_own):
        if not has_own:
            raise UserError(
                "data.chat_template is tokenizer, and this tokenizer has none",
                remedy="use auto, default, or the path of a .jinja file",
            )
        tokenizer.chat_template = tokenizer.get_chat_template()
        return "tokenizer"
    if choice in ("default", "auto"):
        tokenizer.chat_template = DEFAULT_TEMPLATE
        return "default"
    path = Path(choice)
    if not path.is_file():
        raise UserError("no such file", where=choice, remedy=f"data.chat_template takes {CHOICES}")
    try:
        tokenizer.chat_template = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise UserError("is not UTF-8 text", where=choice, remedy="give a Jinja template") from error
    return f"file {path.name}"


def _sample(tokenizer: Any, choice: str) -> str:
    """A short conversation as the template writes it; raises UserError where it cannot."""
    from jinja2 import TemplateError

    messages = [{"role": "user", "content": _QUESTION}, {"role": "assistant", "content": _ANSWER}]
    try:
        text: str = tokenizer.apply_chat_template(messages, tokenize=False)
    except TemplateError as error:
        line = getattr(error, "lineno", None)
        raise UserError(
            f"the chat template cannot be used ({error})",
            where=f"{choice}:{line}" if line else choice,
            remedy=f"mend it; data.chat_template takes {CHOICES}",
        ) from error
    if _QUESTION not in text or _ANSWER not in text:
        raise UserError(
            "the chat template leaves the user's or the assistant's message out",
            where=choice,
            remedy="write message['content'] for the roles user and assistant",
        )
    return text


def _stop_tokens(tokenizer: Any, sample: str) -> list[int]:
    """The end-of-sequence token, and the marker that the template sets after an answer."""
    stops = [int(tokenizer.eos_token_id)]
    tail = tokenizer(sample.rpartition(_ANSWER)[2], add_special_tokens=False)["input_ids"]
    markers = _markers(tokenizer)
    for token in tail:
        if token in markers:
            return stops if token in stops else [*stops, int(token)]
        if tokenizer.decode([token]).strip():
            break
    return stops


def _markers(tokenizer: Any) -> set[int]:
    """Tokens that may end a turn: special and added ones, without blanks, BOS, pad and unknown."""
    added = {i for i, token in tokenizer.added_tokens_decoder.items() if token.content.strip()}
    others = {tokenizer.unk_token_id, tokenizer.bos_token_id, tokenizer.pad_token_id}
    markers: set[int] = ((added | set(tokenizer.all_special_ids)) - others) | {tokenizer.eos_token_id}
    return markers


def last_turn_end(tokenizer: Any, ids: list[int], stops: list[int]) -> list[int]:
    """`ids` cut after the stop token that ends the answer; ended with EOS where it has none.

    Whatever a template writes after it (a line break, an EOS after an end-of-turn token) is
    never generated, so it is not learned either.
    """
    end = 0
    for place in range(len(ids) - 1, -1, -1):
        if ids[place] in stops:
            end = place + 1
        elif tokenizer.decode([ids[place]]).strip():
            break
    return ids[:end] if end else [*ids, int(tokenizer.eos_token_id)]
