"""Load, check, tokenise and describe the data, once for every arm."""

from __future__ import annotations

from harness.records import StageRequest
from harness.stages.context import Context, Outcome


def warm_up(request: StageRequest) -> str:
    """Import what the stage needs; data needs no accelerator."""
    import harness.data.prepare  # noqa: F401

    return "cpu"


def run(context: Context) -> Outcome:
    """Prepare the data set into the stage's folder."""
    from harness.data.prepare import PrepareConfig, prepare

    config = dict(context.request.config)
    for digest in ("model_digest", "data_digest"):
        config.pop(digest, None)
    with context.window.phase("data"):
        facts = prepare(PrepareConfig.model_validate(config), context.folder, context.report)
    outputs = {"train": "train.parquet", "test": "test.parquet", "tokenizer": "tokenizer"}
    if facts.validation_pairs is not None:
        outputs["validation"] = "validation.parquet"
    return Outcome(facts=facts, outputs=outputs)
