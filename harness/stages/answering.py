"""A cell's answers: by which engine, which are known already, and by what they are made."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from harness.forms import Form, load_form
from harness.generate import Answer, LoadedModel, Prompt
from harness.generate.kept import KeptAnswers
from harness.generate.turns import all_known, answer_turns
from harness.jsonl import read_jsonl, write_jsonl
from harness.pipeline.engine import DECIDED_BY, decided
from harness.pipeline.generation_spec import GenerationSpec
from harness.pipeline.model_form import ModelForm
from harness.records import EvaluateFacts, Measurement, RehearseEvaluateFacts
from harness.stages.context import Context, read_result
from harness.stages.passes import passes

UNSEEN = "made in vLLM's own processes, whose passes no hook sees"


@dataclass(frozen=True)
class Answered:
    """`model` is what answered, None where nothing had to or where vLLM did. `kept` holds the answers until
    the stage is done, `begun` counts those that an attempt before this one left."""

    settings: GenerationSpec
    answers: list[Answer]
    model: LoadedModel | None
    ledger: list[Measurement]
    kept: KeptAnswers
    begun: int


def answered(context: Context, asked: list[Prompt], *, needs_model: bool) -> Answered:
    """Every asked prompt answered, turn by turn, and the answers written down.

    `needs_model` says that the model is needed even where every answer is known.
    """
    settings = settings_of(context)
    kept = KeptAnswers(context.folder.parent.parent / "cache" / "answers" / f"{context.request.digest}.jsonl")
    begun = kept.load() if settings.temperature == 0 else {}  # sampled ones depend on their batch
    known = {**_known(context, settings), **begun}
    with _answering(context, settings, asked, known, needs_model=needs_model) as model:
        apart = settings.engine == "vllm"
        with passes(context, model, "generation", unseen=UNSEEN if apart else None) as ledger:
            answers = answer_turns(
                model, asked, settings, lambda done, total: context.report(done, total, {}), known, kept.add
            )
    if answers:
        write_jsonl(context.folder / "answers.jsonl", (a.as_row() for a in answers))
    return Answered(settings, answers, None if apart else model, ledger, kept, len(begun))


@contextlib.contextmanager
def _answering(
    context: Context,
    settings: GenerationSpec,
    asked: list[Prompt],
    known: Mapping[str, Answer],
    *,
    needs_model: bool,
) -> Iterator[LoadedModel | None]:
    """What answers, loaded where there is something to answer, and the model where it is needed anyhow.

    vLLM loads the weights by itself and is gone before anything else is loaded.
    """
    to_do = not all_known(asked, known)
    if settings.engine != "vllm":
        yield model_of(context, settings) if to_do or needs_model else None
        return
    if not to_do:
        yield None
        return
    from harness.generate.answer import whole_lengths
    from harness.generate.engines.by_name import ready

    described = model_of(context, settings, weights=False)
    most = max(whole_lengths(described, asked, settings)) + settings.max_new_tokens
    with contextlib.ExitStack() as stack:
        with context.window.phase("model_load"):
            started = stack.enter_context(ready(described, settings, most))
        yield started


def model_of(context: Context, settings: GenerationSpec, *, weights: bool = True) -> LoadedModel:
    """The cell's model; without `weights` what an engine needs that loads them by itself.

    Samples that a benchmark draws from it are made as answers are, but never by vLLM, which would have to be
    started for them again.
    """
    from harness.generate.load import load_model

    facts = context.prepared_facts()
    adapter_or_base = "model" in context.request.inputs
    rounded = _rounded_form(context)
    with context.window.phase("model_load"):
        model = load_model(
            context.model_path(),
            context.prepared / "tokenizer",
            stop_token_ids=facts.stop_token_ids,
            revision=None if adapter_or_base else facts.model_revision,
            form=ModelForm.model_validate(context.request.config["form"]),
            own_code=facts.trust_remote_code,
            weights=weights and rounded is None,
        )
        if weights and rounded is not None:
            held = rounded.module.load(Path(context.model_path())).to(model.device)
            held.generation_config = type(held.generation_config)()
            model = replace(model, model=held)
    return replace(model, engine="continuous") if settings.engine == "continuous" else model


def _rounded_form(context: Context) -> Form | None:
    """The form of an export that its own module loads; whole weights are loaded like any others."""
    name = context.request.config.get("exported")
    form = load_form(name) if name else None
    return form if form is not None and form.module.ABOUT.rounds else None


def generation_of(context: Context) -> GenerationSpec:
    """How answers are to be made, as far as the plan says."""
    return GenerationSpec.model_validate(context.request.config["generation"])


def settings_of(context: Context) -> GenerationSpec:
    """How this cell answers, by the engine that the rehearsal of scoring decided on for all cells."""
    folder = context.request.inputs.get(DECIDED_BY)
    trial = read_result(Path(folder)).facts_as(RehearseEvaluateFacts).engine if folder else None
    return decided(generation_of(context), trial)


def _known(context: Context, settings: GenerationSpec) -> dict[str, Answer]:
    """Answers that earlier stages of this cell gave at equal settings, by what was asked."""
    by_digest: dict[str, Answer] = {}
    for role, folder in context.request.inputs.items():
        if not role.startswith("answers:"):
            continue
        facts = read_result(Path(folder)).facts_as(EvaluateFacts)
        if facts.answers and facts.generation and _recorded(facts.generation) == settings:
            rows = read_jsonl(Path(folder) / "answers.jsonl")
            by_digest |= {row["asked"]: Answer(**row) for row in rows if row.get("asked")}
    return by_digest


def _recorded(settings: Mapping[str, Any]) -> GenerationSpec:
    """What an earlier stage recorded; before there were other engines, it was padded."""
    return GenerationSpec.model_validate({"engine": "padded", **settings})
