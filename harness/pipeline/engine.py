"""Which engine makes a comparison's answers: one for all cells, decided by what they share. Pure."""

from __future__ import annotations

from collections.abc import Collection

from harness.pipeline.generation_spec import GenerationSpec
from harness.pipeline.model_form import ModelForm
from harness.records import EngineTrial

DECIDED_BY = "engine"
"""The role of the rehearsal whose trial decides for a scoring stage."""


def why_padded(settings: GenerationSpec, device: str, forms: Collection[ModelForm]) -> str | None:
    """Why `auto` is padded without a trial, or None.

    `device` is that of `Resolved`, `forms` are those of every model that is to answer: a trial on the base
    model in one of them says nothing about the others.
    """
    if settings.engine != "auto":
        return None
    if device.startswith("cpu"):
        return "auto is padded on a CPU"
    if len(set(forms)) > 1:
        return "auto is padded where models are held in several forms (precision, adapters, quantisation)"
    return None


def decided(settings: GenerationSpec, trial: EngineTrial | None) -> GenerationSpec:
    """`settings` as cells answer by them; what nobody tried is padded."""
    if settings.engine != "auto":
        return settings
    return settings.model_copy(update={"engine": "padded" if trial is None else trial.used})
