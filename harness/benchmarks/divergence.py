"""How far a trained model has moved from the base: KL along its own answers, log-ratios on held-out pairs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import PositiveInt

from harness.benchmarks import CheckContext, read_prepared_test, scores_of_items, test_prompts
from harness.errors import UserError
from harness.generate import LoadedModel
from harness.pipeline.generation_spec import GenerationSpec
from harness.pipeline.spec_model import SpecModel
from harness.records import PrepareFacts, Score, StageResult
from harness.sealed import read_sealed


class Config(SpecModel):
    """One answer is drawn at temperature 1 to each of the first `prompts` prompts."""

    prompts: PositiveInt = 160
    max_new_tokens: PositiveInt = 256
    batch_size: PositiveInt = 16


def check(config: Config, context: CheckContext) -> None:
    """Raise UserError without prompts."""
    if not test_prompts(context.prepared, "divergence", 1):
        raise UserError("benchmark divergence has no prompts", remedy="give a test split")


def score_model(config: Config, model: LoadedModel, prepared: Path, out: Path) -> list[Score]:
    """KL(policy || base) in nats an answer and a token, and log-ratios of held-out answers.

    Answers that reach `max_new_tokens` count up to there. The base model itself is not scored.
    """
    base = _base(prepared)
    if model.path == base.model_path:
        return []
    from harness.generate.load import load_model

    other = load_model(
        str(base.model_path),
        model.tokenizer_path,
        stop_token_ids=model.stop_token_ids,
        revision=base.model_revision,
        form=model.form,
        own_code=base.trust_remote_code,
    )
    return [*_kl(config, model, other, prepared, out), *_log_ratios(config, model, other, prepared, out)]


def _base(prepared: Path) -> PrepareFacts:
    result = read_sealed(prepared / "result.json", StageResult)
    return result.facts_as(PrepareFacts)


def _kl(config: Config, model: LoadedModel, base: LoadedModel, prepared: Path, out: Path) -> list[Score]:
    from harness.generate.answer import prompt_ids
    from harness.generate.divergence import divergence
    from harness.generate.engines.by_name import token_ids

    asked = test_prompts(prepared, "divergence", config.prompts)
    settings = GenerationSpec(
        engine=model.engine,
        max_new_tokens=config.max_new_tokens,
        batch_size=config.batch_size,
        temperature=1.0,
    )
    questions = [prompt_ids(model, prompt) for prompt in asked]
    drawn: dict[int, list[int]] = {}
    for batch in token_ids(model, questions, settings):
        drawn |= batch
    rows = [(question, drawn[i]) for i, question in enumerate(questions)]
    sums = divergence(model.model, base.model, rows, model.tokenizer.pad_token_id, config.batch_size)
    items = [
        {"id": prompt.id, "metrics": {"kl_per_answer": kl, "kl_per_token": kl / len(ids)}}
        for prompt, kl, (_, ids) in zip(asked, sums, rows, strict=True)
    ]
    chosen = {"unit": "nats", "temperature": 1.0, "max_new_tokens": config.max_new_tokens}
    return scores_of_items(
        "divergence",
        items,
        out,
        file="divergence.kl",
        settings=chosen,
        neutral=("kl_per_answer", "kl_per_token"),
    )


def _log_ratios(
    config: Config, model: LoadedModel, base: LoadedModel, prepared: Path, out: Path
) -> list[Score]:
    """Mean log-prob per response token, ours less the base's, of chosen and rejected answers."""
    from harness.generate.logprobs import pair_log_probs

    rows = read_prepared_test(prepared)
    if not rows:
        return []
    pad = model.tokenizer.pad_token_id
    ours, theirs = (pair_log_probs(side.model, rows, pad, config.batch_size) for side in (model, base))
    items: list[dict[str, Any]] = []
    for i, row in enumerate(rows):
        metrics = {
            "log_ratio_chosen": float(ours.chosen_mean[i] - theirs.chosen_mean[i]),
            "log_ratio_rejected": float(ours.rejected_mean[i] - theirs.rejected_mean[i]),
        }
        items.append({"id": row["id"], "metrics": metrics})
    chosen = {"unit": "nats per response token", "against": "the base model"}
    names = ("log_ratio_chosen", "log_ratio_rejected")
    return scores_of_items("divergence", items, out, file="divergence.pairs", settings=chosen, neutral=names)
