"""Sentence vectors of length 1: by a local or hub model, or by counting words."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from harness.errors import UserError
from harness.jsonl import well_formed
from harness.measure import device
from harness.untrusted import SAFELY, UNASKED, check_folder, in_words, loading

WORDS = "words"
BATCH = 32
_WORD = re.compile(r"\w+")


def embedder_needs_hub(name: str) -> bool:
    """Whether the model may have to be fetched."""
    return name != WORDS and not Path(name).exists()


def check_embedder(name: str, *, where: str) -> None:
    """Raise UserError where the model's config cannot be had."""
    if name == WORDS:
        return
    from transformers import AutoConfig

    check_folder(Path(name), name)
    try:
        AutoConfig.from_pretrained(name, **UNASKED)
    except (OSError, ValueError) as error:
        raise in_words(error, name) or UserError(
            f'embedding model "{name}" cannot be loaded ({str(error).splitlines()[0][:120]})',
            where=where,
            remedy=f"give a folder or a hub name such as sentence-transformers/all-MiniLM-L6-v2, or {WORDS}",
        ) from error


def embed(name: str, texts: Sequence[str]) -> np.ndarray[Any, Any]:
    """(len(texts), width), rows of length 1; an answer without words is a zero row."""
    vectors = _word_counts(texts) if name == WORDS else _by_model(name, [well_formed(t) for t in texts])
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    result: np.ndarray[Any, Any] = vectors / np.where(lengths == 0, 1.0, lengths)
    return result


def _word_counts(texts: Sequence[str]) -> np.ndarray[Any, Any]:
    counts = [Counter(_WORD.findall(text.lower())) for text in texts]
    place = {word: i for i, word in enumerate(sorted(set().union(*counts)))}
    table = np.zeros((len(texts), max(1, len(place))), dtype=np.float32)
    for row, count in enumerate(counts):
        for word, number in count.items():
            table[row, place[word]] = number
    return table


def _by_model(name: str, texts: Sequence[str]) -> np.ndarray[Any, Any]:
    """Mean over the last hidden states of an encoder, as sentence-transformers' models are used."""
    import torch
    from transformers import AutoModel, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(name, **UNASKED)
    place = device.torch_device()
    with loading(name):
        model = AutoModel.from_pretrained(name, dtype=torch.float32, **SAFELY).to(place).eval()
    longest = min(int(tokenizer.model_max_length), int(getattr(model.config, "max_position_embeddings", 512)))
    rows = []
    for start in range(0, len(texts), BATCH):
        batch = tokenizer(
            list(texts[start : start + BATCH]),
            padding=True,
            truncation=True,
            max_length=longest,
            return_tensors="pt",
        ).to(place)
        with torch.no_grad():
            states = model(**batch).last_hidden_state
        mask = batch["attention_mask"].unsqueeze(-1).float()
        rows.append(((states * mask).sum(dim=1) / mask.sum(dim=1).clamp(min=1)).cpu().numpy())
    return np.concatenate(rows)
