"""transformers' continuous batching: a finished answer's place goes to the next prompt, and no row is padded.

Keys and values lie in pages, which prompts that begin alike share. All prompts are handed over before the
first step, so that batches are the same each time.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator
from typing import Any

import torch
import transformers
from transformers.generation.configuration_utils import ContinuousBatchingConfig

from harness.generate import LoadedModel
from harness.generate.engines import SAMPLING_SEED
from harness.generate.engines.padded import sampling
from harness.pipeline.generation_spec import GenerationSpec

PAGE = 32
"""Tokens of a page: what prompts that begin alike share is whole pages."""
STEP_TOKENS = 1024
"""The most tokens that a step reads. The mask is as wide as all pages together, so this costs memory."""
WAIT_SECONDS = 1.0


def token_ids(
    loaded: LoadedModel, tokenized: list[list[int]], settings: GenerationSpec
) -> Iterator[dict[int, list[int]]]:
    """New token ids by the prompt's place, as answers end; `settings.batch_size` are made at once.

    Raises what the engine's thread raised. Attention is the model's own: transformers would fetch another's
    kernels from the hub.
    """
    with torch.random.fork_rng(), _manager(loaded, tokenized, settings) as manager:
        names = manager.add_requests(tokenized, max_new_tokens=settings.max_new_tokens)
        places = {name: place for place, name in enumerate(names)}
        manager.start()
        left = len(tokenized)
        while left:
            finished = _finished(manager)
            left -= len(finished)
            yield {places[one.request_id]: list(one.generated_tokens) for one in finished}


@contextlib.contextmanager
def _manager(loaded: LoadedModel, tokenized: list[list[int]], settings: GenerationSpec) -> Iterator[Any]:
    """A manager whose thread has ended, and whose pages are given back, when the body has.

    The model gets its attention back, which is another meanwhile where it was `eager`.
    """
    model, attention = loaded.model, loaded.model.config._attn_implementation
    generation = transformers.GenerationConfig(
        max_new_tokens=settings.max_new_tokens,
        eos_token_id=loaded.stop_token_ids,
        pad_token_id=loaded.tokenizer.pad_token_id,
        **sampling(settings),
    )
    with _quiet(), contextlib.ExitStack() as after:
        after.callback(_give_back, model, attention)
        manager = model.init_continuous_batching(
            generation_config=generation, continuous_batching_config=_pages(tokenized, settings)
        )
        after.callback(manager.destroy)
        after.callback(manager.stop, block=True, hard_stop=True)
        manager.warmup()  # makes the pages; nothing is captured or compiled
        _hold_wider(manager.batch_processor.cache)
        yield manager


def _give_back(model: Any, attention: str) -> None:
    if model.config._attn_implementation != attention:
        model.set_attn_implementation(attention)


def _pages(tokenized: list[list[int]], settings: GenerationSpec) -> ContinuousBatchingConfig:
    """Room for `batch_size` of the longest answers to the longest prompt, whatever the device has.

    Raises RuntimeError where the installed transformers is too old to be told so.
    """
    if not hasattr(ContinuousBatchingConfig, "auto_switch_to_flash"):
        raise RuntimeError(f"transformers {transformers.__version__} is too old for it; 5.23 is not")
    at_once = min(settings.batch_size, len(tokenized))
    longest = max(map(len, tokenized)) + settings.max_new_tokens
    return ContinuousBatchingConfig(
        page_size=PAGE,
        num_blocks=at_once * (-(-longest // PAGE) + 1),
        max_batch_tokens=max(STEP_TOKENS, at_once),
        max_requests_per_batch=at_once,
        # Every request fits by construction, so nothing is held back for those that grow.
        safety_margin=0.0,
        use_cuda_graph=False,
        use_async_batching=False,
        auto_switch_to_flash=False,
        seed=SAMPLING_SEED,
    )


def _hold_wider(cache: Any) -> None:
    """Let keys and values of fewer bits be held in the cache's: autocast makes values narrower than keys."""
    update = cache.update

    def widened(key_states: Any, value_states: Any, *rest: Any, **more: Any) -> Any:
        return update(_as(cache.dtype, key_states), _as(cache.dtype, value_states), *rest, **more)

    cache.update = widened


def _as(dtype: torch.dtype, states: torch.Tensor) -> torch.Tensor:
    """`states` in `dtype` where that loses nothing."""
    return states.to(dtype) if torch.promote_types(dtype, states.dtype) == dtype else states


def _finished(manager: Any) -> list[Any]:
    """The answers that have ended since the last call; waits for one."""
    while (one := manager.get_result(timeout=WAIT_SECONDS)) is None:
        if not manager.is_running():
            raise RuntimeError("continuous batching ended early") from _fatal(manager)
    finished = []
    while one is not None:
        if one.error is not None:
            manager.stop(block=True, hard_stop=True)
            raise _fatal(manager) or RuntimeError(one.error)
        finished.append(one)
        one = manager.get_result(timeout=0)
    return finished


def _fatal(manager: Any) -> Exception | None:
    error: Exception | None = manager.background_thread_status.fatal_error
    return error


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Its log would print the traceback of an error that is raised."""
    log = logging.getLogger("ContinuousBatchingLogger")
    before, log.disabled = log.disabled, True
    try:
        yield
    finally:
        log.disabled = before
