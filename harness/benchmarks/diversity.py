"""Diversity of sampled answers, within one input and across inputs (ORPO paper, section 6.3).

Hong et al. 2024, arXiv 2403.07691: five answers to each of 160 prompts, embedded, compared by cosine.
Both figures are mean cosines over pairs, so lower means more diverse. Across inputs every prompt stands in
many pairs, so that the prompts' own mean cosines are not independent: its items are jackknife pseudo-values.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import PositiveInt

from harness.benchmarks import CheckContext, scores_of_items, test_prompts
from harness.benchmarks._embeddings import WORDS, check_embedder, embed, embedder_needs_hub
from harness.errors import UserError
from harness.generate import LoadedModel
from harness.pipeline.generation_spec import GenerationSpec
from harness.pipeline.named import Named, path_or_repo
from harness.pipeline.spec_model import Positive, SpecModel
from harness.records import Score

METRICS = ("per_input_similarity", "across_input_similarity")
FEWEST = 3
"""Prompts from which the spread of a mean over their pairs can be told."""
Vectors = np.ndarray[Any, Any]


class Config(SpecModel):
    """`embeddings`: a sentence-embedding model (hub name or folder), or `words` for word counts.

    Figures of different embeddings do not compare; the choice stands with the score.
    """

    prompts: PositiveInt = 160
    samples: PositiveInt = 5
    temperature: Positive = 1.0
    max_new_tokens: PositiveInt = 256
    batch_size: PositiveInt = 32
    embeddings: str = WORDS


def needs_hub(config: Config) -> bool:
    """Whether the embedding model may have to be fetched."""
    return embedder_needs_hub(config.embeddings)


def files(config: Config) -> list[Named]:
    """The embedding model."""
    return [] if config.embeddings == WORDS else [path_or_repo(config.embeddings, "model")]


def check(config: Config, context: CheckContext) -> None:
    """Raise UserError for too few samples or an embedding model that cannot be had."""
    if config.samples < 2:
        raise UserError(
            "benchmarks.diversity.samples is 1", remedy="give at least 2: diversity compares answers"
        )
    asked = test_prompts(context.prepared, "diversity", config.prompts)
    if len(asked) < FEWEST:
        raise UserError(
            f"benchmark diversity has {len(asked)} prompts and compares at least {FEWEST}",
            remedy="give a larger test split, or raise benchmarks.diversity.prompts",
        )
    check_embedder(config.embeddings, where="benchmarks.diversity.embeddings")


def score_model(config: Config, model: LoadedModel, prepared: Path, out: Path) -> list[Score]:
    """`per_input` and `across_input` similarity, an item a prompt; the latter's are pseudo-values."""
    from harness.generate.answer import answer

    asked = test_prompts(prepared, "diversity", config.prompts)
    settings = GenerationSpec(
        engine=model.engine,
        max_new_tokens=config.max_new_tokens,
        batch_size=config.batch_size,
        temperature=config.temperature,
    )
    answers = answer(model, [prompt for prompt in asked for _ in range(config.samples)], settings)
    texts = [a.text for a in answers]
    vectors = embed(config.embeddings, texts).reshape(len(asked), config.samples, -1)
    across = across_input(vectors[:, 0])
    pseudo = pseudo_values(across)
    items = [
        {
            "id": prompt.id,
            "metrics": dict(zip(METRICS, (per_input(vectors[i]), pseudo[i]), strict=True)),
            "mean_cosine_with_others": across[i],
            "samples": texts[i * config.samples : (i + 1) * config.samples],
        }
        for i, prompt in enumerate(asked)
    ]
    chosen = {
        "samples": config.samples,
        "temperature": config.temperature,
        "embeddings": config.embeddings,
        "across_input_items": "jackknife pseudo-values; their mean is the mean cosine over pairs of prompts",
    }
    return scores_of_items("diversity", items, out, settings=chosen, neutral=METRICS)


def per_input(vectors: Vectors) -> float:
    """Mean cosine over pairs of one prompt's answers; `vectors` is (samples, width), rows of length 1."""
    n = len(vectors)
    return float((np.square(vectors.sum(axis=0)).sum() - np.square(vectors).sum()) / (n * (n - 1)))


def across_input(vectors: Vectors) -> list[float]:
    """For each prompt's first answer, its mean cosine with all others'; their mean is that over pairs."""
    n, total = len(vectors), vectors.sum(axis=0)
    return [float((row @ total - row @ row) / (n - 1)) for row in vectors]


def pseudo_values(with_others: Sequence[float]) -> list[float]:
    """Jackknife pseudo-values n U - (n - 1) U(-i) of the mean cosine U over pairs of n >= 3 prompts.

    `with_others[i]` is prompt i's mean cosine h(i) with the others, so that U(-i) = (n U - 2 h(i)) / (n - 2)
    and the value is U + 2 (n - 1) / (n - 2) (h(i) - U). Their mean is U; their standard deviation over
    sqrt(n) is its jackknife standard error, about 2 sd(h) / sqrt(n), where sd(h) / sqrt(n) is half of the
    truth (Arvesen 1969, Ann. Math. Stat. 40, 2076; Efron and Stein 1981). Items of two arms pair by prompt.
    """
    n = len(with_others)
    mean = sum(with_others) / n
    return [mean + 2 * (n - 1) / (n - 2) * (own - mean) for own in with_others]
