"""What made a run's answers, and how far they are those of padded batches."""

from __future__ import annotations

from harness.evidence.view import ComparisonView
from harness.records import EngineTrial, EvaluateFacts, RehearseEvaluateFacts

WORDS = {
    "padded": "in padded batches",
    "continuous": "by transformers' continuous batching",
    "vllm": "by vLLM",
}


def engine_of(view: ComparisonView) -> str | None:
    """The engine of every cell, or None where no cell was answered or records do not tell."""
    for result in view.record.results.values():
        if isinstance(result.facts, EvaluateFacts) and result.facts.generation is not None:
            return result.facts.generation.get("engine")
    return None


def trial_of(view: ComparisonView) -> EngineTrial | None:
    """How an engine compared with padded batches, where one was tried."""
    result = view.record.results.get(view.record.plan.rehearse_evaluate or "")
    return None if result is None else result.facts_as(RehearseEvaluateFacts).engine


def answers_in_words(view: ComparisonView) -> str:
    """Sentences, each after a blank: how answers were drawn and made; none where nothing says it."""
    settings = view.record.plan.spec.get("generation")
    if not settings:
        return ""
    temperature, engine = settings.get("temperature"), engine_of(view)
    how = f"drawn at temperature {temperature:g}" if temperature else "greedy"
    made = "" if engine is None else f", made {WORDS.get(engine, engine)}"
    agreement = agreement_in_words(view)
    text = f" Answers are {how}, of at most {settings.get('max_new_tokens')} tokens{made}."
    return f"{text} {agreement}" if agreement else text


def agreement_in_words(view: ComparisonView) -> str:
    """How many answers of the trial were equal, and where the others parted; nothing without a trial."""
    trial = trial_of(view)
    if trial is None or trial.same is None:
        return ""
    text = (
        f"The base model's answers {WORDS.get(trial.tried, trial.tried)} to {trial.prompts} prompts, of at "
        f"most {trial.new_tokens} tokens, were those of padded batches token for token in {trial.same}"
    )
    if trial.first_difference is None:
        return f"{text}."
    text = f"{text}; the earliest difference is at token {trial.first_difference + 1}"
    if trial.largest_gap is None:
        return f"{text}."
    return f"{text}, and no token taken where answers part is over {trial.largest_gap:.2g} nats less likely."


def what_was_noticed(view: ComparisonView) -> str:
    """A sentence for an engine that was put aside, or that was used beyond the tolerance."""
    trial = trial_of(view)
    if trial is None or trial.reason is None:
        return ""
    used = WORDS.get(trial.used, trial.used)
    return f"Answers were made {used}: {trial.reason}. All arms answered alike."
