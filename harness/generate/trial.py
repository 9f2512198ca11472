"""One batch of answers and one of scored pairs, tried for what a whole cell of them will take."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from transformers import StoppingCriteria, StoppingCriteriaList

from harness.generate import LoadedModel, Prompt
from harness.generate.answer import whole_lengths
from harness.generate.engines.padded import padded_on_the_left, sampling
from harness.generate.head import checked_head
from harness.generate.logprobs import pair_log_probs, sample_of
from harness.measure import device
from harness.pipeline.generation_spec import GenerationSpec
from harness.records import AnsweringTrial, PairScoringTrial

TOKENS = 3
"""Generated at a time: the first is the prefill's, the others are timed."""


def try_answering(loaded: LoadedModel, prompts: Sequence[Prompt], settings: GenerationSpec) -> AnsweringTrial:
    """A batch of the longest of `prompts`, which are distinct.

    A few tokens follow the prompts, and a few more a cache that has been filled up to where answers of
    `max_new_tokens` end: memory is then that of a whole batch, and the mean of both speeds that of an answer
    which nothing stops.
    """
    lengths, answers = whole_lengths(loaded, prompts, settings), sum(1 + len(p.follow_ups) for p in prompts)
    batch = [_filler(loaded, n) for n in sorted(lengths, reverse=True)[: settings.batch_size]]
    _generate(loaded, padded_on_the_left(loaded, [batch[-1]]), settings)  # what the first call alone takes
    inputs = padded_on_the_left(loaded, batch)
    first, output = _generate(loaded, inputs, settings)
    full = _with_full_cache(inputs, output, len(batch[0]) + settings.max_new_tokens)
    last, output = (first, output) if full is None else _generate(loaded, full, settings)
    step = (_mean_step(first) + _mean_step(last)) / 2
    return AnsweringTrial(
        answers=answers,
        batch=len(batch),
        prompt_tokens=len(batch[0]),
        new_tokens=settings.max_new_tokens,
        cache_tokens=output.past_key_values.get_seq_length(),
        prefill_seconds=first[1] - first[0],
        seconds_per_token=step / len(batch),
    )


def try_scoring_pairs(
    loaded: LoadedModel, rows: Sequence[dict[str, Any]], batch_size: int
) -> PairScoringTrial:
    """A batch of the longest of the pairs `rows`, as `pair_log_probs` makes it."""
    longest = sorted(rows, key=_longest_sequence, reverse=True)[: max(1, batch_size // 2)]
    head = checked_head(loaded.model, sample_of([(longest[0]["prompt_ids"], longest[0]["chosen_ids"])]))

    def score() -> None:
        pair_log_probs(loaded.model, longest, loaded.tokenizer.pad_token_id, batch_size, head=head)

    score()  # what the first call alone takes
    return PairScoringTrial(
        pairs=len(rows),
        batch=batch_size,
        tokens=_longest_sequence(longest[0]),
        seconds_per_pair=_seconds(score) / len(longest),
    )


class _Ticks(StoppingCriteria):  # type: ignore[misc]
    """Never stops; notes when each token was there."""

    def __init__(self) -> None:
        self.at = [device.now()]

    def __call__(self, input_ids: torch.Tensor, scores: Any, **kwargs: Any) -> torch.Tensor:
        self.at.append(device.now())
        return torch.zeros(len(input_ids), dtype=torch.bool, device=input_ids.device)


def _generate(
    loaded: LoadedModel, inputs: dict[str, Any], settings: GenerationSpec
) -> tuple[list[float], Any]:
    """The moments of the beginning and of each token, and transformers' output with its cache."""
    ticks = _Ticks()
    with torch.no_grad(), torch.random.fork_rng(enabled=settings.temperature > 0):
        output = loaded.model.generate(
            **inputs,
            max_new_tokens=TOKENS,
            pad_token_id=loaded.tokenizer.pad_token_id,
            stopping_criteria=StoppingCriteriaList([ticks]),
            return_dict_in_generate=True,
            **sampling(settings),
        )
    return ticks.at, output


def _with_full_cache(inputs: dict[str, Any], output: Any, length: int) -> dict[str, Any] | None:
    """What goes on from `output` with a cache that leaves `TOKENS` up to `length` tokens a sequence.

    The cache grows by its own means, with zeros. None where it is not made of keys and values, which then do
    not grow with the answer, or where there is nothing to fill.
    """
    cache, ids = output.past_key_values, output.sequences
    missing = length - TOKENS - ids.shape[1]
    layers = [i for i, layer in enumerate(getattr(cache, "layers", ())) if _is_attention(layer)]
    if missing <= 0 or not layers:
        return None
    for i in layers:
        known = (cache.layers[i].keys, cache.layers[i].values)
        cache.update(*(x.new_zeros(*x.shape[:2], missing, x.shape[3]) for x in known), i)
    filler = ids[:, -1:].expand(-1, missing)
    ids = torch.cat([ids, filler], dim=1)
    attention = inputs["attention_mask"]
    new = ids.shape[1] - attention.shape[1]
    attention = torch.cat([attention, attention.new_ones(len(ids), new)], dim=1)
    return {"input_ids": ids, "attention_mask": attention, "past_key_values": cache}


def _is_attention(layer: Any) -> bool:
    keys = getattr(layer, "keys", None)
    return isinstance(keys, torch.Tensor) and keys.dim() == 4


def _filler(loaded: LoadedModel, length: int) -> list[int]:
    """Tokens whose cost is that of any others."""
    return [loaded.stop_token_ids[0] if loaded.stop_token_ids else 0] * length


def _longest_sequence(row: dict[str, Any]) -> int:
    return len(row["prompt_ids"]) + max(len(row["chosen_ids"]), len(row["rejected_ids"]))


def _mean_step(at: Sequence[float]) -> float:
    """Seconds of a token of the whole batch, after the first."""
    return (at[-1] - at[1]) / (len(at) - 2)


def _seconds(work: Callable[[], None]) -> float:
    began = device.now()
    work()
    return device.now() - began
