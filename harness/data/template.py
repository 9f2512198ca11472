"""Chat templates: the tokenizer's own, a file's, or a documented default for base models.

The default writes `### User:` and `### Assistant:` headings and ends each answer with the
tokenizer's end-of-sequence token, which is learned and stops generation.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.data.schemas import digest
from harness.errors import UserError

DEFAULT_TEMPLATE = (
    "{{ bos_token if bos_token else '' }}{% for message in messages %}"
    "{% if message['role'] == 'user' %}{{ '### User:\\n' + message['content'] + '\\n\\n' }}"
    "{% elif message['role'] == 'system' %}{{ message['content'] + '\\n\\n' }}"
    "{% else %}{{ '### Assistant:\\n' + message['content'] + eos_token }}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}{{ '### Assistant:\\n' }}{% endif %}"
)


@dataclass(frozen=True)
class Template:
    """Where the template came from, its digest, and the tokens that end a turn."""

    source: str
    digest: str
    stop_token_ids: list[int]


def apply_choice(tokenizer: Any, choice: str) -> Template:
    """Set the tokenizer's template by `auto`, `tokenizer`, `default` or a path, and its pad token."""
    if tokenizer.eos_token_id is None:
        raise UserError("the tokenizer has no end-of-sequence token", remedy="set eos_token in its config")
    source = _choose(tokenizer, choice)
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
    return Template(source, digest(tokenizer.chat_template), _stop_tokens(tokenizer))


def _choose(tokenizer: Any, choice: str) -> str:
    has_own = bool(tokenizer.chat_template)
    if choice == "tokenizer" or (choice == "auto" and has_own):
        if not has_own:
            raise UserError(
                "data.chat_template is tokenizer, and this tokenizer has none",
                remedy="use auto, default, or the path of a .jinja file",
            )
        return "tokenizer"
    if choice in ("default", "auto"):
        tokenizer.chat_template = DEFAULT_TEMPLATE
        return "default"
    path = Path(choice)
    if not path.is_file():
        raise UserError(
            "no such file",
            where=choice,
            remedy="data.chat_template takes auto, tokenizer, default or the path of a .jinja file",
        )
    tokenizer.chat_template = path.read_text(encoding="utf-8")
    return f"file {path.name}"


def _stop_tokens(tokenizer: Any) -> list[int]:
    """The end-of-sequence token, and the special token that ends a turn in the template."""
    messages = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]
    text = tokenizer.apply_chat_template(messages, tokenize=False)
    ids = tokenizer(text, add_special_tokens=False)["input_ids"]
    special = set(tokenizer.all_special_ids) | set(tokenizer.added_tokens_decoder)
    stops = [int(tokenizer.eos_token_id)]
    for token in reversed(ids):
        if token in special:
            stops += [int(token)] if token not in stops else []
            break
        if tokenizer.decode([token]).strip():
            break
    return stops


def last_turn_end(tokenizer: Any, ids: list[int], stops: list[int]) -> list[int]:
    """`ids` cut after its last stop token; ended with EOS where it has none."""
    for place in range(len(ids) - 1, -1, -1):
        if ids[place] in stops:
            return ids[: place + 1]
        if tokenizer.decode([ids[place]]).strip():
            break
    return [*ids, int(tokenizer.eos_token_id)]
