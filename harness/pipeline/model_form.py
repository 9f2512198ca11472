"""In which form weights are held: precision, quantisation, adapters."""

from __future__ import annotations

from typing import Literal

from harness.pipeline.spec_model import SpecModel

Quantization = Literal["none", "4bit", "8bit"]
PrecisionName = Literal["auto", "mixed", "float32", "bfloat16_stochastic", "bfloat16"]
"""How trained weights are held and products made; `auto` is mixed on an accelerator whose bfloat16 is
native, float32 elsewhere. docs/costs.md says what each one costs and loses."""


class ModelForm(SpecModel):
    """The form in which a model was trained and is therefore scored; `adapters`: on a frozen model."""

    precision: PrecisionName = "auto"
    adapters: bool = False
    quantization: Quantization = "none"
