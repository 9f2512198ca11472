"""Whether an engine answers as padded batches do: greedy answers to a sample of prompts, token by token.

Sums in another order round otherwise, so answers may part where two tokens are about as likely. Where they
part at a token that is clearly less likely, the engine computes something else.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

import torch

from harness.errors import UserError
from harness.generate import LoadedModel, Prompt
from harness.generate.answer import prompt_ids, whole_lengths
from harness.generate.engines.by_name import ready, token_ids
from harness.generate.precision import resolve_precision
from harness.measure.out_of_memory import is_out_of_memory
from harness.pipeline.generation_spec import Engine, GenerationSpec
from harness.records import EngineTrial

PROMPTS = 8
TOKENS = 64
TOLERANCE = 1e-3
LOW_PRECISION_TOLERANCE = 0.25
"""Nats by which a token may fall short of the likeliest. bfloat16 holds logits of 16 and more to 1/8."""
Row = tuple[list[int], list[int], list[int]]
"""Token ids of a prompt, of its answer in padded batches, and of the engine's."""


def try_engine(loaded: LoadedModel, prompts: Sequence[Prompt], settings: GenerationSpec) -> EngineTrial:
    """The engine of `settings` on a sample of `prompts`, and which is used; `auto` tries `continuous`.

    `auto` takes padded batches where the engine cannot answer or goes beyond the tolerance. An engine that
    was asked for by name is used all the same, since all arms answer by it alike, and the trial says what
    was noticed; where it cannot answer at all, UserError is raised.
    """
    by_name = settings.engine != "auto"
    tried: Engine = "continuous" if settings.engine == "auto" else settings.engine
    sample = _sample([prompt_ids(loaded, prompt) for prompt in prompts])
    update = {"temperature": 0.0, "max_new_tokens": min(settings.max_new_tokens, TOKENS)}
    greedy = settings.model_copy(update=update)
    low = resolve_precision(loaded.form.precision).autocasts
    trial = EngineTrial(
        tried=tried,
        used=tried,
        prompts=len(sample),
        new_tokens=greedy.max_new_tokens,
        tolerance=LOW_PRECISION_TOLERANCE if low else TOLERANCE,
    )
    expected, padded_seconds = _answers(loaded, sample, greedy, "padded")
    most = max(whole_lengths(loaded, prompts, settings)) + settings.max_new_tokens
    try:
        with ready(loaded, greedy.model_copy(update={"engine": tried}), most) as engine:
            found, seconds = _answers(engine, sample, greedy, tried)
    except UserError:
        raise
    except Exception as error:
        if by_name and is_out_of_memory(error):
            raise
        return _cannot_answer(trial, error, by_name=by_name)
    trial = trial.model_copy(update={"seconds": seconds, "padded_seconds": padded_seconds})
    return _compared(trial, loaded, list(zip(sample, expected, found, strict=True)), by_name=by_name)


def _sample(tokenized: list[list[int]]) -> list[list[int]]:
    """Prompts of all lengths, the longest among them."""
    by_length = sorted(tokenized, key=len, reverse=True)
    number = min(PROMPTS, len(by_length))
    return [by_length[place * len(by_length) // number] for place in range(number)]


def _answers(
    loaded: LoadedModel, sample: list[list[int]], settings: GenerationSpec, engine: Engine
) -> tuple[list[list[int]], float]:
    """New token ids in the sample's order, and seconds."""
    began = time.perf_counter()
    answers: dict[int, list[int]] = {}
    for some in token_ids(loaded, sample, settings.model_copy(update={"engine": engine})):
        answers |= some
    return [answers[place] for place in range(len(sample))], time.perf_counter() - began


def _cannot_answer(trial: EngineTrial, error: Exception, *, by_name: bool) -> EngineTrial:
    lines = str(error).splitlines() or [type(error).__name__]
    why = f"engine {trial.tried} cannot answer with this model ({lines[0][:200]})"
    if by_name:
        raise UserError(why, where="generation.engine", remedy="set it to auto or padded") from error
    return trial.model_copy(update={"used": "padded", "reason": why})


def _compared(
    trial: EngineTrial,
    loaded: LoadedModel,
    rows: Sequence[Row],
    *,
    by_name: bool,
) -> EngineTrial:
    """The trial with what `rows` say."""
    places = [_parting(expected, found) for _, expected, found in rows]
    parted = [(row, place) for row, place in zip(rows, places, strict=True) if place is not None]
    gaps = [_gap(loaded, row, place) for row, place in parted]
    update = {
        "same": len(rows) - len(parted),
        "first_difference": min((place for _, place in parted), default=None),
        "largest_gap": max((gap for gap in gaps if gap is not None), default=None),
    }
    trial = trial.model_copy(update=update)
    if None in gaps:
        reason = f"an answer of engine {trial.tried} ends where that of padded batches does not"
    elif trial.largest_gap is not None and trial.largest_gap > trial.tolerance:
        reason = (
            f"an answer of engine {trial.tried} parts from that of padded batches at a token that is "
            f"{trial.largest_gap:.2g} nats less likely (tolerance {trial.tolerance:g})"
        )
    else:
        return trial
    return trial.model_copy(update={"used": trial.tried if by_name else "padded", "reason": reason})


def _parting(expected: list[int], found: list[int]) -> int | None:
    """The first place at which two answers differ, or None."""
    if expected == found:
        return None
    shorter = min(len(expected), len(found))
    return next((k for k in range(shorter) if expected[k] != found[k]), shorter)


def _gap(loaded: LoadedModel, row: Row, place: int) -> float | None:
    """By how many nats the engine's token at `place` falls short of the likeliest, None at an end."""
    prompt, expected, found = row
    if place >= min(len(expected), len(found)):
        return None
    ids = torch.tensor([[*prompt, *found[:place]]], device=loaded.device)
    with torch.no_grad():
        log_probs = loaded.model(input_ids=ids).logits[0, -1].float().log_softmax(0)
    return float(log_probs.max() - log_probs[found[place]])
