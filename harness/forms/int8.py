"""Layers' matrices in 8 bits, a scale a row (torchao, weights only); embeddings and norms stay."""

from __future__ import annotations

from pathlib import Path

from harness.forms import FormAbout
from harness.forms.full import load as load
from harness.generate.model_folder import copy_beside

ABOUT = FormAbout(
    "layers' matrices in 8 bits with a scale a row, computed in the dtype of the rest (torchao)",
    packages=("torchao",),
    extra="export",
)


def write(source: Path, to: Path, variant: str | None) -> None:
    """As safetensors that transformers loads by itself where torchao is installed."""
    import transformers
    from torchao.quantization import Int8WeightOnlyConfig

    settings = transformers.TorchAoConfig(Int8WeightOnlyConfig())
    model = transformers.AutoModelForCausalLM.from_pretrained(
        source, dtype="auto", quantization_config=settings
    )
    model.save_pretrained(to)
    copy_beside(source, to)
