"""How answers are made."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, PositiveInt

from harness.pipeline.spec_model import NonNegative, SpecModel

Engine = Literal["padded", "continuous", "vllm"]
"""What makes answers: transformers' `generate` in padded batches, its continuous batching, or vLLM."""


class GenerationSpec(SpecModel):
    """How answers are made; recorded with every score that uses them.

    `engine` is one for all cells of a comparison; `auto` is decided by what they share
    (`harness.pipeline.engine`). `batch_size` is the number of answers made at once, which vLLM chooses by
    itself; `vllm_memory_share` is how much of the GPU's memory that takes.
    """

    engine: Literal["auto", "padded", "continuous", "vllm"] = "auto"
    max_new_tokens: PositiveInt = 256
    batch_size: PositiveInt = 32
    temperature: NonNegative = 0.0
    top_p: Annotated[float, Field(gt=0, le=1)] = 1.0
    vllm_memory_share: Annotated[float, Field(gt=0, le=1)] = 0.9
