"""Batched generation: sorted by length, padded on the left, greedy unless told otherwise."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from typing import Any

from harness.generate import Answer, LoadedModel, Prompt
from harness.jsonl import well_formed
from harness.measure import device
from harness.measure.out_of_memory import is_out_of_memory
from harness.pipeline.generation_spec import GenerationSpec

Progress = Callable[[int, int], None]
SAMPLING_SEED = 0


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


def token_ids(
    loaded: LoadedModel, tokenized: list[list[int]], settings: GenerationSpec
) -> Iterator[dict[int, list[int]]]:
    """New token ids by the prompt's place, a batch at a time, longest prompts first.

    On a GPU that runs out of memory the batch is halved and tried again. Sampling starts from
    one fixed seed a batch, so that it can be repeated on the same machine; the program's own random
    state is put back.
    """
    import torch

    order = sorted(range(len(tokenized)), key=lambda i: -len(tokenized[i]))
    size, start = settings.batch_size, 0
    while start < len(order):
        batch = order[start : start + size]
        with torch.random.fork_rng(enabled=settings.temperature > 0):
            if settings.temperature > 0:
                torch.manual_seed(SAMPLING_SEED + start)
            outputs = _try_generate(loaded, [tokenized[i] for i in batch], settings)
        if outputs is None:
            size = len(batch) // 2
            device.empty_cache()
            continue
        start += len(batch)
        yield dict(zip(batch, outputs, strict=True))


def _try_generate(
    loaded: LoadedModel, batch: list[list[int]], settings: GenerationSpec
) -> list[list[int]] | None:
    """New token ids, or None where a batch of several did not fit into the GPU's memory.

    The caller frees memory after this has returned: until then the error holds the tensors.
    """
    try:
        return _generate(loaded, batch, settings)
    except RuntimeError as error:
        if len(batch) == 1 or not is_out_of_memory(error):
            raise
        return None


def prompt_ids(loaded: LoadedModel, prompt: Prompt) -> list[int]:
    """Token ids of the rendered conversation, ready to be answered."""
    messages = [{**message, "content": well_formed(message["content"])} for message in prompt.messages]
    text = loaded.tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
    ids: list[int] = loaded.tokenizer(text, add_special_tokens=False)["input_ids"]
    return ids


def _generate(loaded: LoadedModel, batch: list[list[int]], settings: GenerationSpec) -> list[list[int]]:
    """New token ids of each prompt, up to and with the stop token.

    Positions follow the attention mask, so padding on the left moves none.
    """
    import torch

    inputs = padded_on_the_left(loaded, batch)
    length = inputs["input_ids"].shape[1]
    with torch.no_grad():
        output = loaded.model.generate(
            **inputs,
            max_new_tokens=settings.max_new_tokens,
            eos_token_id=loaded.stop_token_ids,
            pad_token_id=loaded.tokenizer.pad_token_id,
            **sampling(settings),
        )
    return [_until_stop(row, loaded.stop_token_ids) for row in output[:, length:].tolist()]


def padded_on_the_left(loaded: LoadedModel, batch: list[list[int]]) -> dict[str, Any]:
    """`input_ids` and `attention_mask` on the model's device: (prompts, longest)."""
    import torch

    length, pad = max(map(len, batch)), loaded.tokenizer.pad_token_id
    ids = torch.tensor([[pad] * (length - len(row)) + row for row in batch])
    attention = torch.tensor([[0] * (length - len(row)) + [1] * len(row) for row in batch])
    return {"input_ids": ids.to(loaded.device), "attention_mask": attention.to(loaded.device)}


def sampling(settings: GenerationSpec) -> dict[str, Any]:
    """How transformers is told to choose tokens."""
    if settings.temperature == 0:
        return {"do_sample": False, "temperature": None, "top_p": None, "top_k": None}
    return {"do_sample": True, "temperature": settings.temperature, "top_p": settings.top_p, "top_k": 0}


def _until_stop(ids: list[int], stops: list[int]) -> list[int]:
    for place, token in enumerate(ids):
        if token in stops:
            return ids[: place + 1]
    return ids


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
