"""How fast an export answers, beside whole weights of the same training, in turns in one process."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from harness.forms import load_form
from harness.measure import device
from harness.records import PrepareFacts, Speed, SpeedFacts, StageRequest
from harness.stages.context import Context, Outcome
from harness.stages.export import whole_weights

BATCHES = (1, 8, 32)
REPEATS = 5
MOST_NEW, MOST_PROMPT = 32, 128
EXPORTED, WHOLE = "exported", "whole"


def warm_up(request: StageRequest) -> str:
    """Import what loads the model."""
    from harness.generate.load import ready_to_load

    ready_to_load()
    return device.kind()


@dataclass
class Times:
    """Seconds of one batch size, a repeat an entry."""

    first: list[float] = field(default_factory=list)
    later: list[float] = field(default_factory=list)


def run(context: Context) -> Outcome:
    """Every batch size with every model, in an order that turns round; each first round warms up."""
    facts = context.prepared_facts()
    prompts = _prompts(context.prepared)
    with tempfile.TemporaryDirectory(dir=context.folder) as place, context.window.phase("model_load"):
        models = _models(context, Path(place))
    with context.window.phase("generation"):
        times = _taken(models, prompts, facts, context.report)
    whole = models.get(WHOLE)
    found = SpeedFacts(
        form=context.request.config["form"],
        prompt_tokens=prompts.shape[1],
        new_tokens=MOST_NEW,
        bytes=bytes_of(models[EXPORTED]),
        exported=_speeds(times, EXPORTED),
        whole_bytes=None if whole is None else bytes_of(whole),
        whole=_speeds(times, WHOLE) if whole is not None else [],
    )
    return Outcome(facts=found)


def _models(context: Context, place: Path) -> dict[str, Any]:
    """The export, and whole weights where it rounds them."""
    config, to = context.request.config, device.torch_device()
    form = load_form(config["form"])
    models = {EXPORTED: form.module.load(Path(context.request.inputs["export"]) / "model").to(to)}
    if form.module.ABOUT.rounds:
        trained = Path(context.model_path())
        whole_weights(trained, place / WHOLE, adapters=config["adapters"], precision=config["precision"])
        models[WHOLE] = load_form("full").module.load(place / WHOLE).to(to)
        shutil.rmtree(place / WHOLE)
    return models


def _prompts(prepared: Path) -> Any:
    """(32, tokens): test prompts of the median length, longer ones cut and shorter ones begun again."""
    import pyarrow.parquet
    import torch

    table = pyarrow.parquet.read_table(prepared / "test.parquet", columns=["prompt_ids"])
    found = table["prompt_ids"].to_pylist()
    length = min(sorted(map(len, found))[len(found) // 2], MOST_PROMPT)
    rows = [found[n % len(found)] for n in range(max(BATCHES))]
    return torch.tensor([(row * (length // len(row) + 1))[:length] for row in rows])


def _taken(
    models: Mapping[str, Any],
    prompts: Any,
    facts: PrepareFacts,
    report: Callable[[int, int, dict[str, float]], None],
) -> dict[tuple[str, int], Times]:
    rounds = [(batch, n) for batch in BATCHES for n in range(1 + REPEATS)]
    times = {(name, batch): Times() for name in models for batch in BATCHES}
    for done, (batch, n) in enumerate(rounds):
        names = list(models)[:: 1 if n % 2 else -1]
        for name in names:
            first, later = seconds_of(models[name], prompts[:batch], MOST_NEW, facts.pad_token_id)
            if n:
                times[name, batch].first.append(first)
                times[name, batch].later.append(later)
        report(done + 1, len(rounds), {})
    return times


def seconds_of(model: Any, prompts: Any, new: int, pad: int | None) -> tuple[float, float]:
    """Until the first token of all answers, and for a later one of all: `new` tokens each, greedy."""
    import torch
    import transformers

    ends: list[float] = []

    def note(ids: Any, scores: Any, **_: Any) -> Any:
        device.synchronize()
        ends.append(time.perf_counter())
        return torch.zeros(len(ids), dtype=torch.bool, device=ids.device)

    settings = transformers.GenerationConfig(
        max_new_tokens=new, min_new_tokens=new, do_sample=False, pad_token_id=pad or 0
    )
    tokens = prompts.to(model.device)
    device.synchronize()
    began = time.perf_counter()
    with torch.inference_mode():
        model.generate(
            tokens,
            attention_mask=torch.ones_like(tokens),
            generation_config=settings,
            stopping_criteria=transformers.StoppingCriteriaList([note]),
        )
    return ends[0] - began, (ends[-1] - ends[0]) / (len(ends) - 1)


def _speeds(times: Mapping[tuple[str, int], Times], name: str) -> list[Speed]:
    return [
        Speed(batch=batch, first_token=times[name, batch].first, later_token=times[name, batch].later)
        for batch in BATCHES
    ]


def bytes_of(model: Any) -> int:
    """Weights and buffers in memory, each storage once; rounded ones by the parts that they are held in."""
    storages = {
        part.untyped_storage().data_ptr(): part.untyped_storage().nbytes()
        for tensor in (*model.parameters(), *model.buffers())
        for part in _parts(tensor)
    }
    return sum(storages.values())


def _parts(tensor: Any) -> Iterator[Any]:
    """The plain tensors that a tensor of a class of its own is made of."""
    if not hasattr(tensor, "__tensor_flatten__"):
        yield tensor
        return
    for name in tensor.__tensor_flatten__()[0]:
        yield from _parts(getattr(tensor, name))
