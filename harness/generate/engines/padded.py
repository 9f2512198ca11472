"""transformers' `generate` on batches sorted by length and padded on the left; every family can do it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from harness.generate import LoadedModel
from harness.generate.engines import SAMPLING_SEED
from harness.measure import device
from harness.measure.out_of_memory import is_out_of_memory
from harness.pipeline.generation_spec import GenerationSpec


def token_ids(
    loaded: LoadedModel, tokenized: list[list[int]], settings: GenerationSpec
) -> Iterator[dict[int, list[int]]]:
    """New token ids by the prompt's place, a batch at a time, longest prompts first.

    On a GPU that runs out of memory the batch is halved and tried again. Sampling starts from one fixed seed
    a batch.
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
