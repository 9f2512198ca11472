"""What is said of scoring before anything is trained."""

from __future__ import annotations

import io
from types import SimpleNamespace
from typing import Any

import pytest
from rich.console import Console

from harness.errors import UserError
from harness.records import AnsweringTrial, PairScoringTrial, RehearseEvaluateFacts
from harness.running.forecast import check_memory, forecast

ANSWERING = AnsweringTrial(
    answers=100,
    batch=32,
    prompt_tokens=50,
    new_tokens=200,
    cache_tokens=249,
    prefill_seconds=2.0,
    seconds_per_token=0.001,
)
PAIRS = PairScoringTrial(pairs=500, batch=16, tokens=300, seconds_per_pair=0.01)


def execution(facts: RehearseEvaluateFacts, finished: tuple[str, ...] = ()) -> Any:
    """Three cells and the base model, of which `finished` are scored already."""
    stages = {name: SimpleNamespace(kind="evaluate", config={}) for name in ("base", "a", "b", "c")}
    plan = SimpleNamespace(
        rehearsals=[], rehearse_evaluate="s", stages=stages, judge="j", check=None, prepare="p"
    )
    root = SimpleNamespace(finished=lambda digest: digest if digest in finished else None, path="runs")
    result = SimpleNamespace(facts=facts, facts_as=lambda kind: facts)
    return SimpleNamespace(plan=plan, root=root, results={"s": result})


def heard(one: Any) -> str:
    console = io.StringIO()
    forecast(one, Console(file=console, width=300))
    return console.getvalue()


def test_a_cell_takes_its_batches_and_its_pairs_at_most() -> None:
    facts = RehearseEvaluateFacts(load_seconds=3.0, answering=ANSWERING, pair_scoring=PAIRS)
    assert facts.most_seconds == pytest.approx(3 + 4 * (2 + 200 * 32 * 0.001) + 500 * 0.01)


def test_what_is_left_to_score_is_foretold_and_the_rest_is_named() -> None:
    facts = RehearseEvaluateFacts(
        load_seconds=3.0,
        answering=ANSWERING,
        pair_scoring=PAIRS,
        not_foretold=["lm_eval"],
        peak_memory_bytes=3 << 30,
        seconds=4.16,
    )
    text = heard(execution(facts, finished=("base",)))
    assert "At most 2 min of scoring 3 cells; lm_eval, judging on top." in text
    assert "at most 41.6" in text
    assert "3.00 GiB VRAM" in text
    assert "Rehearsing scoring took 4 s, 2.5% of what 4 cells take at most." in text


def test_where_scoring_does_not_fit_its_setting_is_named() -> None:
    full = RehearseEvaluateFacts(out_of_memory=True, remedy="--set generation.batch_size=16")
    with pytest.raises(UserError, match=r"scoring does not fit .*generation\.batch_size=16"):
        check_memory(execution(full))
