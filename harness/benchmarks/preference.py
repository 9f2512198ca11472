"""Held-out pairs: does the model give the chosen answer the higher mean log-prob per token?"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import PositiveInt

from harness.benchmarks import CheckContext, read_prepared_test, scores_of_items
from harness.benchmarks._clusters import shared
from harness.errors import UserError
from harness.generate import LoadedModel
from harness.pipeline.spec_model import SpecModel
from harness.records import Score


class Config(SpecModel):
    """`limit` takes the first pairs of the test split."""

    limit: PositiveInt | None = None
    batch_size: PositiveInt = 16


def check(config: Config, context: CheckContext) -> None:
    """Raise UserError without held-out pairs."""
    if not read_prepared_test(context.prepared, 1):
        raise UserError(
            "benchmark preference has no held-out pairs",
            remedy="give a test split, or raise data.test_fraction",
        )


def pairs_to_score(config: Config, prepared: Path) -> tuple[list[dict[str, Any]], int]:
    """The held-out pairs, and the sequences of a batch."""
    return read_prepared_test(prepared, config.limit), config.batch_size


def score_model(
    config: Config, model: LoadedModel, prepared: Path, out: Path, progress: Any = None
) -> list[Score]:
    """Accuracy (ties count half), margin and log-probs, a row a pair; pairs of one prompt are a cluster."""
    from harness.generate.logprobs import pair_log_probs

    rows, batch_size = pairs_to_score(config, prepared)
    log_probs = pair_log_probs(model.model, rows, model.tokenizer.pad_token_id, batch_size)
    clusters = shared([row["prompt"] for row in rows])
    items = [
        {"id": row["id"], "metrics": _metrics(float(chosen), float(rejected)), **cluster}
        for row, cluster, chosen, rejected in zip(
            rows, clusters, log_probs.chosen_mean, log_probs.rejected_mean, strict=True
        )
    ]
    settings = {"log_prob": "mean per response token", "ties": "count half"}
    return scores_of_items(
        "preference", items, out, settings=settings, neutral=("logp_chosen", "logp_rejected")
    )


def _metrics(chosen: float, rejected: float) -> dict[str, float]:
    accuracy = 0.5 if chosen == rejected else float(chosen > rejected)
    return {
        "accuracy": accuracy,
        "margin": chosen - rejected,
        "logp_chosen": chosen,
        "logp_rejected": rejected,
    }
