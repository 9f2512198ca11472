"""Whether an engine computes what padded batches do, and what follows where it does not."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from harness.errors import UserError
from harness.generate import LoadedModel, Prompt
from harness.generate.engines import agreement, continuous
from harness.generate.engines.agreement import (
    LOW_PRECISION_TOLERANCE,
    TOLERANCE,
    _gap,
    _parting,
    _sample,
    try_engine,
)
from harness.generate.load import load_model
from harness.pipeline.generation_spec import GenerationSpec
from harness.pipeline.model_form import ModelForm, PrecisionName

SETTINGS = GenerationSpec(max_new_tokens=6, batch_size=4, temperature=0.7)
ASKED = [
    Prompt(str(n), "b", [{"role": "user", "content": " ".join(f"w{i}" for i in range(4, 5 + n))}])
    for n in range(12)
]
Change = Callable[[list[int]], list[int]]


@pytest.fixture
def loaded(tiny_model: Path, prepared: Path) -> LoadedModel:
    return load_model(str(tiny_model), prepared / "tokenizer", stop_token_ids=[2])


def changed(monkeypatch: pytest.MonkeyPatch, change: Change) -> None:
    """Continuous batching gives its answers through `change`."""
    real = continuous.token_ids

    def other(*arguments: Any) -> Any:
        for some in real(*arguments):
            yield {place: change(ids) for place, ids in some.items()}

    monkeypatch.setattr(continuous, "token_ids", other)


def test_an_engine_that_agrees_is_used_and_its_figures_are_kept(loaded: LoadedModel) -> None:
    trial = try_engine(loaded, ASKED, SETTINGS)
    assert (trial.tried, trial.used, trial.reason) == ("continuous", "continuous", None)
    assert (trial.prompts, trial.same, trial.new_tokens) == (8, 8, 6)
    assert (trial.first_difference, trial.largest_gap, trial.tolerance) == (None, None, TOLERANCE)
    assert trial.seconds is not None
    assert trial.padded_seconds is not None
    assert min(trial.seconds, trial.padded_seconds) > 0


def test_an_engine_that_computes_something_else_is_put_aside(
    loaded: LoadedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    changed(monkeypatch, lambda ids: [*ids[:3], (ids[3] + 7) % 60, *ids[4:]])
    trial = try_engine(loaded, ASKED, SETTINGS)
    assert (trial.tried, trial.used, trial.same, trial.first_difference) == ("continuous", "padded", 0, 3)
    assert trial.largest_gap is not None
    assert trial.largest_gap > TOLERANCE
    assert trial.reason is not None
    assert f"{trial.largest_gap:.2g} nats less likely (tolerance 0.001)" in trial.reason
    by_name = try_engine(loaded, ASKED, SETTINGS.model_copy(update={"engine": "continuous"}))
    assert by_name == trial.model_copy(
        update={"used": "continuous", "seconds": by_name.seconds, "padded_seconds": by_name.padded_seconds}
    ), "one that was asked for by name is used, and what was noticed is told"


@pytest.mark.parametrize("change", [lambda ids: ids[:-1], lambda ids: [*ids, 5]])
def test_an_answer_that_ends_elsewhere_is_no_tie(
    loaded: LoadedModel, monkeypatch: pytest.MonkeyPatch, change: Change
) -> None:
    changed(monkeypatch, change)
    trial = try_engine(loaded, ASKED, SETTINGS)
    assert (trial.used, trial.same, trial.largest_gap) == ("padded", 0, None)
    assert trial.reason == "an answer of engine continuous ends where that of padded batches does not"


def test_a_tie_that_rounding_breaks_is_within_the_tolerance(
    loaded: LoadedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    changed(monkeypatch, lambda ids: [(ids[0] + 7) % 60, *ids[1:]])
    monkeypatch.setattr(agreement, "TOLERANCE", 100.0)
    trial = try_engine(loaded, ASKED, SETTINGS)
    assert (trial.used, trial.same, trial.reason) == ("continuous", 0, None)
    assert trial.largest_gap is not None
    assert 0 < trial.largest_gap < 100


def test_an_engine_that_cannot_answer_is_put_aside_or_ends_the_run(
    loaded: LoadedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: Any) -> Any:
        raise ValueError("Invalid layer type: conv\nand more")

    monkeypatch.setattr(continuous, "token_ids", broken)
    trial = try_engine(loaded, ASKED, SETTINGS)
    assert (trial.used, trial.same, trial.seconds) == ("padded", None, None)
    assert trial.reason == "engine continuous cannot answer with this model (Invalid layer type: conv)"
    with pytest.raises(UserError, match=r"generation\.engine: engine continuous cannot .* auto or padded"):
        try_engine(loaded, ASKED, SETTINGS.model_copy(update={"engine": "continuous"}))


def test_memory_that_ran_out_is_no_fault_of_an_engine_that_was_asked_for(
    loaded: LoadedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any) -> Any:
        raise torch.OutOfMemoryError("scripted")

    monkeypatch.setattr(continuous, "token_ids", full)
    assert try_engine(loaded, ASKED, SETTINGS).used == "padded"
    with pytest.raises(torch.OutOfMemoryError):
        try_engine(loaded, ASKED, SETTINGS.model_copy(update={"engine": "continuous"}))


@pytest.mark.parametrize(
    ("precision", "tolerance"),
    [("float32", TOLERANCE), ("mixed", LOW_PRECISION_TOLERANCE), ("bfloat16", LOW_PRECISION_TOLERANCE)],
)
def test_the_tolerance_is_that_of_the_precision(
    tiny_model: Path, prepared: Path, precision: PrecisionName, tolerance: float
) -> None:
    form = ModelForm(precision=precision)
    loaded = load_model(str(tiny_model), prepared / "tokenizer", stop_token_ids=[2], form=form)
    trial = try_engine(loaded, ASKED, SETTINGS)
    assert (trial.tolerance, trial.used) == (tolerance, "continuous")


def test_the_sample_is_of_all_lengths_and_has_the_longest() -> None:
    sizes = [len(one) for one in _sample([[0] * n for n in range(1, 101)])]
    assert sizes == [100, 88, 75, 63, 50, 38, 25, 13]
    assert [len(one) for one in _sample([[0] * 3, [0] * 5])] == [5, 3]


def test_where_answers_part_and_by_how_much(loaded: LoadedModel) -> None:
    assert _parting([4, 5], [4, 5]) is None
    assert _parting([4, 5, 6], [4, 7, 6]) == 1
    assert _parting([4, 5], [4, 5, 6]) == _parting([4, 5, 6], [4, 5]) == 2
    with torch.no_grad():
        odds = loaded.model(input_ids=torch.tensor([[4, 5, 6]])).logits[0, -1].log_softmax(0)
    best = int(odds.argmax())
    assert _gap(loaded, ([4, 5], [6, best], [6, 9]), 1) == pytest.approx(
        float(odds[best] - odds[9]), abs=1e-5
    )
    assert _gap(loaded, ([4, 5], [6, best], [6]), 1) is None
