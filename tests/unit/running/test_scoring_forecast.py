"""What is said of a comparison before anything is trained: the whole, its shares, and scoring's bound."""

from __future__ import annotations

import io
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from rich.console import Console
from synthetic import make_record, rehearsed

from harness.errors import UserError
from harness.records import (
    AnsweringTrial,
    PairScoringTrial,
    PlannedStage,
    RehearseEvaluateFacts,
    StageResult,
)
from harness.running.forecast import check_memory, forecast
from harness.running.outlook import look_ahead
from harness.running.time_left import time_left

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
FACTS = RehearseEvaluateFacts(
    load_seconds=3.0,
    answering=ANSWERING,
    pair_scoring=PAIRS,
    not_foretold=["lm_eval"],
    peak_memory_bytes=3 << 30,
    seconds=4.16,
)


def execution(facts: RehearseEvaluateFacts, *finished: str) -> Any:
    """The made comparison after its rehearsals, of which stages `finished` are done already."""
    record = make_record(full=True, seeds=(0,))
    stage = PlannedStage(digest="s", kind="rehearse_evaluate", name="rehearse scoring", seed=0, config={})
    plan = record.plan.model_copy(
        update={
            "stages": {**record.plan.stages, "s": stage},
            "order": ["prep", "s", *(d for d in record.plan.order if d != "prep")],
            "rehearse_evaluate": "s",
        }
    )
    update = {"kind": "rehearse_evaluate", "facts": facts, "digest": "s"}
    results: dict[str, StageResult] = {d: record.results[d] for d in ("prep", *plan.rehearsals)}
    results["s"] = rehearsed("sft").model_copy(update=update)
    done = results | {digest: record.results[digest] for digest in finished}
    root = SimpleNamespace(finished=done.get, cleaned=lambda digest: None, path=Path())
    return SimpleNamespace(plan=plan, root=root, results=results)


def heard(one: Any, **settings: Any) -> str:
    console = io.StringIO()
    forecast(one, Console(file=console, width=300), **settings)
    return console.getvalue()


def test_a_cell_takes_its_batches_and_its_pairs_at_most() -> None:
    facts = RehearseEvaluateFacts(load_seconds=3.0, answering=ANSWERING, pair_scoring=PAIRS)
    assert facts.most_seconds == pytest.approx(3 + 4 * (2 + 200 * 32 * 0.001) + 500 * 0.01)


def test_the_line_agrees_with_what_the_whole_comparison_takes() -> None:
    """The total is that of the bars, and its shares are training, all around it, scoring and the report."""
    one = execution(FACTS)
    text = heard(one, report=20.0)
    found = re.search(
        r"About (\d+) min, until .*: (\d+) s of training \(95%: .*\), (\d+) min of starting, probing and "
        r"counting FLOPs around it, (\d+) s of scoring 4 cells \(at most (\d+) min\), 20 s for the report; "
        r"lm_eval on top\.",
        text,
    )
    assert found is not None, text
    whole, training, around, scoring, most = map(int, found.groups())
    left = time_left(look_ahead(one.plan, one.results), None, report=20.0)
    assert left.whole is not None
    assert whole == round(left.whole / 60)
    assert abs(60 * (whole - around) - training - scoring - 20) <= 60
    assert most == round(4 * FACTS.most_seconds / 60)
    assert scoring < 4 * FACTS.most_seconds


def test_what_is_done_is_neither_foretold_nor_counted() -> None:
    text = heard(execution(FACTS, "sft0", "dpo0", "orpo0", "pre0", "ev-sft0"))
    assert "of training (" not in text
    assert "of scoring 3 cells" in text
    assert "on top" not in text
    assert heard(execution(FACTS, *(d for d in make_record(full=True, seeds=(0,)).results))) == ""


def test_what_the_rehearsal_of_scoring_found_stands_beside_it() -> None:
    text = heard(execution(FACTS))
    assert f"at most {FACTS.most_seconds:.4g}" in text
    assert "3.00 GiB VRAM" in text
    assert "Rehearsing scoring took 4 s" in text


@pytest.mark.parametrize("width", [80, 120, 200])
def test_no_word_is_broken_on_a_terminal(width: int) -> None:
    console = io.StringIO()
    forecast(execution(FACTS), Console(file=console, width=width, force_terminal=True, color_system=None))
    lines = console.getvalue().splitlines()
    assert all(len(line) <= width for line in lines)
    words = set(re.findall(r"[\w.,/()]+", heard(execution(FACTS))))
    told = [word for line in lines for word in re.findall(r"[\w.,/()]+", line)]
    assert {word for word in told if not re.match(r"\d|until", word)} <= words


def test_where_scoring_does_not_fit_its_setting_is_named() -> None:
    full = RehearseEvaluateFacts(out_of_memory=True, remedy="--set generation.batch_size=16")
    with pytest.raises(UserError, match=r"scoring does not fit .*generation\.batch_size=16"):
        check_memory(execution(full))
