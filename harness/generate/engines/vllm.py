"""vLLM, on weights of its own: those that a stage saved, or its adapters on their base.

It runs in processes of its own and takes a set share of the GPU at once, so no model of ours lies beside it:
one that is loaded waits on the host.
"""

from __future__ import annotations

import contextlib
import gc
import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from harness.generate import LoadedModel
from harness.generate.engines import SAMPLING_SEED, cannot
from harness.measure import device
from harness.pipeline.generation_spec import GenerationSpec
from harness.untrusted import ADAPTER_CONFIG

AT_ONCE = 512
"""Prompts that are handed over together; their answers are kept when all of them are there."""
LEAST_RANK = 16
NEEDS = ("modules_to_save", "use_dora")
"""What adapters may hold that vLLM does not load."""


@dataclass(frozen=True)
class Running:
    """vLLM's engine, and the adapters that each prompt is answered with."""

    llm: Any
    adapters: Any | None


@contextlib.contextmanager
def started(loaded: LoadedModel, settings: GenerationSpec, most_tokens: int) -> Iterator[LoadedModel]:
    """`loaded` with vLLM as its model, for sequences of at most `most_tokens`, and a free GPU after.

    Raises UserError for weights that vLLM would not hold as we do.
    """
    arguments, adapters = _weights(loaded)
    with _on_the_host(loaded):
        from vllm import LLM

        llm = LLM(
            tokenizer=str(loaded.tokenizer_path),
            trust_remote_code=loaded.own_code,
            dtype=_dtype(loaded),
            seed=SAMPLING_SEED,
            max_model_len=most_tokens,
            gpu_memory_utilization=settings.vllm_memory_share,
            # What a model's own file says of sampling is put aside, as everywhere.
            generation_config="vllm",
            **arguments,
        )
        try:
            yield replace(loaded, model=Running(llm, adapters))
        finally:
            _shut_down(llm)


def token_ids(
    loaded: LoadedModel, tokenized: list[list[int]], settings: GenerationSpec
) -> Iterator[dict[int, list[int]]]:
    """New token ids by the prompt's place, `AT_ONCE` prompts at a time; vLLM chooses its own batches."""
    running: Running = loaded.model
    for start in range(0, len(tokenized), AT_ONCE):
        places = range(start, min(start + AT_ONCE, len(tokenized)))
        outputs = running.llm.generate(
            [{"prompt_token_ids": tokenized[place]} for place in places],
            [_sampling(loaded, settings, place) for place in places],
            use_tqdm=False,
            lora_request=running.adapters,
        )
        yield {place: list(one.outputs[0].token_ids) for place, one in zip(places, outputs, strict=True)}


def _sampling(loaded: LoadedModel, settings: GenerationSpec, place: int) -> Any:
    """Only our stop tokens end an answer. A sample has a seed of its own, also of a prompt asked twice."""
    from vllm import SamplingParams

    return SamplingParams(
        temperature=settings.temperature,
        top_p=settings.top_p,
        max_tokens=settings.max_new_tokens,
        stop_token_ids=loaded.stop_token_ids,
        ignore_eos=True,
        detokenize=False,
        seed=SAMPLING_SEED + place if settings.temperature else None,
    )


def _weights(loaded: LoadedModel) -> tuple[dict[str, Any], Any | None]:
    """Which weights vLLM loads, and the adapters on them."""
    if loaded.form.quantization != "none":
        raise cannot(f"weights quantised to {loaded.form.quantization}")
    described = Path(loaded.path) / ADAPTER_CONFIG
    if not described.is_file():
        return {"model": loaded.path, "revision": loaded.revision}, None
    from vllm.lora.request import LoRARequest

    config = json.loads(described.read_text(encoding="utf-8"))
    held = [name for name in NEEDS if config.get(name)]
    if held:
        raise cannot(f"adapters with {' and '.join(held)}")
    rank = max(int(config["r"]), *(int(r) for r in (config.get("rank_pattern") or {}).values()), LEAST_RANK)
    arguments = {
        "model": config["base_model_name_or_path"],
        "revision": config.get("revision"),
        "enable_lora": True,
        # vLLM takes powers of two.
        "max_lora_rank": 1 << (rank - 1).bit_length(),
    }
    return arguments, LoRARequest("adapters", 1, loaded.path)


def _dtype(loaded: LoadedModel) -> str:
    """What products are made in: whole where the cell's form is float32, bfloat16 otherwise."""
    from harness.generate.precision import resolve_precision

    return "bfloat16" if resolve_precision(loaded.form.precision).autocasts else "float32"


@contextlib.contextmanager
def _on_the_host(loaded: LoadedModel) -> Iterator[None]:
    """Free the device of a model that is loaded, and bring it back."""
    if loaded.model is None:
        yield
        return
    loaded.model.to("cpu")
    _free()
    try:
        yield
    finally:
        loaded.model.to(loaded.device)


def _shut_down(llm: Any) -> None:
    """End vLLM's processes, which hold the GPU until then."""
    core = getattr(getattr(llm, "llm_engine", None), "engine_core", None)
    if core is not None:
        core.shutdown()
    _free()


def _free() -> None:
    gc.collect()
    device.empty_cache()
