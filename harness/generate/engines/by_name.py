"""The engine that settings name, loaded when it answers."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from harness.generate import LoadedModel
from harness.pipeline.generation_spec import GenerationSpec


def token_ids(
    loaded: LoadedModel, tokenized: list[list[int]], settings: GenerationSpec
) -> Iterator[dict[int, list[int]]]:
    """New token ids by the prompt's place, by the engine of `settings`; `auto` is undecided and so `padded`.

    The program's own random state is put back. vLLM answers with a model that `engines.vllm` has started.
    """
    if not tokenized:
        return iter(())
    if settings.engine == "continuous":
        from harness.generate.engines import continuous

        return continuous.token_ids(loaded, tokenized, settings)
    if settings.engine == "vllm":
        from harness.generate.engines import vllm

        return vllm.token_ids(loaded, tokenized, settings)
    from harness.generate.engines import padded

    return padded.token_ids(loaded, tokenized, settings)


@contextlib.contextmanager
def ready(loaded: LoadedModel, settings: GenerationSpec, most_tokens: int) -> Iterator[LoadedModel]:
    """What `token_ids` takes for the engine of `settings`: `loaded`, or vLLM started on its weights."""
    if settings.engine != "vllm":
        yield loaded
        return
    from harness.generate.engines import vllm

    with vllm.started(loaded, settings, most_tokens) as started:
        yield started
