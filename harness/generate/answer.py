"""Prompts into token ids, token ids into answers; an engine makes the ones from the others."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence

from harness.generate import Answer, LoadedModel, Prompt
from harness.generate.engines.by_name import token_ids
from harness.jsonl import well_formed
from harness.pipeline.generation_spec import GenerationSpec

Progress = Callable[[int, int], None]


def answer(
    loaded: LoadedModel,
    prompts: list[Prompt],
    settings: GenerationSpec,
    progress: Progress = lambda done, total: None,
    keep: Callable[[list[Answer]], None] = lambda answers: None,
) -> list[Answer]:
    """One answer to each prompt, in the prompts' order; `keep` gets every batch as it is finished."""
    answers: dict[int, Answer] = {}
    for batch in token_ids(loaded, [prompt_ids(loaded, prompt) for prompt in prompts], settings):
        batch_answers = {index: _as_answer(loaded, prompts[index], ids) for index, ids in batch.items()}
        keep(list(batch_answers.values()))
        answers |= batch_answers
        progress(len(answers), len(prompts))
    return [answers[i] for i in range(len(prompts))]


def prompt_ids(loaded: LoadedModel, prompt: Prompt) -> list[int]:
    """Token ids of the rendered conversation, ready to be answered."""
    messages = [{**message, "content": well_formed(message["content"])} for message in prompt.messages]
    text = loaded.tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
    ids: list[int] = loaded.tokenizer(text, add_special_tokens=False)["input_ids"]
    return ids


def whole_lengths(loaded: LoadedModel, prompts: Sequence[Prompt], settings: GenerationSpec) -> list[int]:
    """Tokens of each prompt; of a conversation those of its last turn, earlier answers as long as may be."""
    lengths = []
    for prompt in prompts:
        messages = list(prompt.messages)
        for _, question in prompt.follow_ups:
            messages += [{"role": "assistant", "content": ""}, {"role": "user", "content": question}]
        asked = Prompt(id=prompt.id, benchmark=prompt.benchmark, messages=messages)
        lengths.append(len(prompt_ids(loaded, asked)) + len(prompt.follow_ups) * settings.max_new_tokens)
    return lengths


def _as_answer(loaded: LoadedModel, prompt: Prompt, ids: list[int]) -> Answer:
    stopped = bool(ids) and ids[-1] in loaded.stop_token_ids
    text = loaded.tokenizer.decode(ids[:-1] if stopped else ids, skip_special_tokens=True).strip()
    asked = next((m["content"] for m in reversed(prompt.messages) if m["role"] == "user"), "")
    return Answer(
        id=prompt.id,
        benchmark=prompt.benchmark,
        prompt=asked,
        text=text,
        tokens=len(ids),
        finish="stop" if stopped else "length",
        reference=prompt.reference,
        meta=prompt.meta,
        asked=digest_of_messages(prompt),
    )


def digest_of_messages(prompt: Prompt) -> str:
    """16 hex digits that name a conversation."""
    text = json.dumps(prompt.messages, sort_keys=True)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]
