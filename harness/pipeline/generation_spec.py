"""How answers are made."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, PositiveInt

from harness.pipeline.spec_model import NonNegative, SpecModel


class GenerationSpec(SpecModel):
    """How answers are made; recorded with every score that uses them."""

    max_new_tokens: PositiveInt = 256
    batch_size: PositiveInt = 32
    temperature: NonNegative = 0.0
    top_p: Annotated[float, Field(gt=0, le=1)] = 1.0
