"""Scoring, rehearsed on the base model in a process of its own: memory and seconds of answers and pairs."""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Iterator

from harness.benchmarks import ScoresModel, ScoresPairs
from harness.generate import LoadedModel, Prompt
from harness.generate.answer import digest_of_messages
from harness.measure.out_of_memory import is_out_of_memory
from harness.pipeline.generation_spec import GenerationSpec
from harness.records import AnsweringTrial, EngineTrial, PairScoringTrial, RehearseEvaluateFacts
from harness.stages.answering import generation_of, model_of
from harness.stages.context import Context, Outcome
from harness.stages.evaluate import benchmarks_of, prompts_of
from harness.stages.evaluate import warm_up as warm_up


class _Full(Exception):
    """The device's memory ran out; the text is the remedy."""


def run(context: Context) -> Outcome:
    """Answer and score a batch of the longest; facts say where that did not fit."""
    began = time.perf_counter()
    try:
        facts = _tried(context)
    except _Full as full:
        return Outcome(facts=RehearseEvaluateFacts(out_of_memory=True, remedy=str(full)))
    memory = {m.quantity: m.value for m in context.memory.measurements()}
    update = {
        "peak_memory_bytes": memory.get("peak_allocated_bytes"),
        "host_growth_bytes": memory.get("host_growth_bytes"),
        "seconds": time.perf_counter() - began,
    }
    return Outcome(facts=facts.model_copy(update=update))


def _tried(context: Context) -> RehearseEvaluateFacts:
    """The batches that the benchmarks ask for; nothing is loaded where they ask for none."""
    prompts = list({digest_of_messages(prompt): prompt for prompt in prompts_of(context)}.values())
    modules = {name: module for name, module, _ in benchmarks_of(context)}
    own = [n for n, m in modules.items() if isinstance(m, ScoresModel) and not isinstance(m, ScoresPairs)]
    if not prompts and not any(isinstance(module, ScoresModel) for module in modules.values()):
        return RehearseEvaluateFacts(not_foretold=own)
    with _unless_full("free the device's memory, or take a smaller --model"):
        model = model_of(context, generation_of(context))
    answering = _answering(context, model, prompts) if prompts else None
    return RehearseEvaluateFacts(
        load_seconds=context.window.seconds["model_load"],
        engine=_engine(context, model, prompts) if prompts else None,
        answering=answering,
        pair_scoring=_pair_scoring(context, model),
        not_foretold=own,
    )


def _engine(context: Context, model: LoadedModel, prompts: list[Prompt]) -> EngineTrial | None:
    """None where answers are padded without asking."""
    settings = generation_of(context)
    if settings.engine == "padded":
        return None
    from harness.generate.engines.agreement import try_engine

    with _unless_full(_smaller(settings)), context.window.phase("generation"):
        trial = try_engine(model, prompts, settings)
    if trial.reason is not None:
        logging.getLogger(__name__).warning("Answers are made by engine %s: %s.", trial.used, trial.reason)
    return trial


def _answering(context: Context, model: LoadedModel, prompts: list[Prompt]) -> AnsweringTrial:
    from harness.generate.trial import try_answering

    settings = generation_of(context)
    with _unless_full(_smaller(settings)), context.window.phase("generation"):
        return try_answering(model, prompts, settings)


def _smaller(settings: GenerationSpec) -> str:
    if settings.batch_size == 1:
        return f"--set generation.max_new_tokens={max(1, settings.max_new_tokens // 2)}"
    return f"--set generation.batch_size={settings.batch_size // 2}"


def _pair_scoring(context: Context, model: LoadedModel) -> PairScoringTrial | None:
    """The largest batch where several benchmarks score pairs; their pairs add up."""
    from harness.generate.trial import try_scoring_pairs

    trials = []
    for name, module, config in benchmarks_of(context):
        if not isinstance(module, ScoresPairs):
            continue
        rows, batch_size = module.pairs_to_score(config, context.prepared)
        if not rows:
            continue
        smaller = f"--set benchmarks.{name}.batch_size={max(1, batch_size // 2)}"
        with _unless_full(smaller), context.window.phase("scoring"):
            trials.append(try_scoring_pairs(model, rows, batch_size))
    if not trials:
        return None
    slowest = max(trials, key=lambda trial: trial.seconds_per_pair)
    return slowest.model_copy(update={"pairs": sum(trial.pairs for trial in trials)})


@contextlib.contextmanager
def _unless_full(remedy: str) -> Iterator[None]:
    """Raise _Full with the remedy where the body runs out of the device's memory."""
    try:
        yield
    except RuntimeError as error:
        if not is_out_of_memory(error):
            raise
        raise _Full(remedy) from error
