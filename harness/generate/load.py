"""Load a trained or a base model for generation and scoring."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from harness.generate import LoadedModel


def load_model(
    path: str,
    tokenizer: Path,
    *,
    stop_token_ids: list[int],
    revision: str | None = None,
    dtype: Literal["auto", "float32", "bfloat16"] = "auto",
) -> LoadedModel:
    """The model at `path` (full weights, an adapter folder or a hub name), ready to answer.

    `auto` is bfloat16 on a GPU that has it, float32 elsewhere. transformers loads adapter folders
    itself. The generation settings that a model brings along (a repetition penalty, sampling)
    are put aside: only `GenerationSpec` says how answers are made.
    """
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, GenerationConfig
    from transformers.utils import logging

    logging.disable_progress_bar()
    on_gpu = torch.cuda.is_available()
    bf16 = dtype == "bfloat16" or (dtype == "auto" and on_gpu and torch.cuda.is_bf16_supported())
    model = AutoModelForCausalLM.from_pretrained(
        path, revision=revision, dtype=torch.bfloat16 if bf16 else torch.float32
    )
    model.generation_config = GenerationConfig()
    device = "cuda" if on_gpu else "cpu"
    model.to(device).eval()
    return LoadedModel(
        model=model,
        tokenizer=AutoTokenizer.from_pretrained(tokenizer),
        stop_token_ids=stop_token_ids,
        device=device,
        path=path,
        tokenizer_path=tokenizer,
    )
