"""Load figures: what is counted, what is left out, and where there are too few requests to say."""

from __future__ import annotations

import pytest
from synthetic import ENVIRONMENT

from harness.evidence.documents.load import load_report, load_table
from harness.records import LoadFigure, LoadLevel, LoadRecord, ServedModel
from harness.serving.asking import Reply
from harness.serving.figures import level_of
from harness.serving.load import LoadPlan, measure
from harness.units import for_readers


def level(replies: list[Reply], seconds: float = 2.0) -> LoadLevel:
    return level_of(replies, clients=2, warm_up=2, seconds=seconds, distinct=len(replies))


def value(of: LoadLevel, name: str) -> float | None:
    return of.figure(name).value


def test_quantiles_are_the_nearest_rank_and_failures_are_part_of_none() -> None:
    replies = [Reply("x", n / 10, n / 100, tokens=3, finish="stop") for n in range(20, 0, -1)]
    found = level(
        [*replies, Reply("", 99.0, error="HTTP status 500"), Reply("", 99.0, error="HTTP status 500")]
    )
    assert (value(found, "request_p50"), value(found, "request_p95")) == (1.0, 1.9)
    assert (value(found, "first_token_p50"), value(found, "first_token_p95")) == (0.1, 0.19)
    assert (value(found, "tokens_per_second"), found.tokens) == (30.0, 60)
    assert (found.requests, found.errors) == (22, {"HTTP status 500": 2})
    assert {figure.n for figure in found.figures} == {20}


def test_too_few_requests_have_a_reason_and_no_value() -> None:
    found = level([Reply("x", 0.1, 0.1, tokens=3) for _ in range(6)])
    assert value(found, "request_p50") == 0.1
    assert found.figure("request_p95") == LoadFigure(
        name="request_p95", value=None, unit="s", n=6, reason="6 answered requests, and it needs 20"
    )


def test_nothing_is_made_up_where_all_failed_or_lengths_are_not_told() -> None:
    failed = level([Reply("", 1.0, error="no byte in time")] * 30)
    assert [figure.value for figure in failed.figures] == [None] * 5
    assert failed.tokens is None
    untold = level([Reply("x", 1.0, 0.5, tokens=3)] * 30 + [Reply("x", 1.0, 0.5)])
    assert untold.tokens is None
    assert value(untold, "tokens_per_second") is None
    assert value(untold, "request_p95") == 1.0


def test_a_figure_without_a_value_says_why() -> None:
    with pytest.raises(ValueError, match="a value or a reason"):
        LoadFigure(name="request_p50", value=None, unit="s", n=0)


def test_clients_ask_side_by_side_and_the_warm_up_is_no_request(server: int) -> None:
    prompts = [[{"role": "user", "content": f"word{n} other"}] for n in range(30)]
    heard: list[tuple[int, int, int]] = []
    levels = list(
        measure(
            server,
            "model",
            prompts,
            LoadPlan((1, 4), 18, 8),
            progress=lambda clients, total, done: heard.append((clients, total, done)),
        )
    )
    assert [(one.clients, one.requests, one.warm_up, one.tokens) for one in levels] == [
        (1, 18, 1, 54),
        (4, 20, 4, 60),
    ]
    # 1 + 18 prompts are used up by the first level and its warm-up, 4 more by the next one's.
    assert [one.distinct_prompts for one in levels] == [18, 7]
    assert [done for clients, _, done in heard if clients == 4] == list(range(1, 21))
    assert all(one.errors == {} for one in levels)


def record(*levels: LoadLevel) -> LoadRecord:
    return LoadRecord(
        created_at="2026-01-01T00:00:00+00:00",
        model=ServedModel(name="orpo-seed0", folder="/f", run="made-1", arm="orpo", seed=0, stage="abc"),
        engine="transformers",
        engine_version="5.23.0",
        settings=[],
        dtype="float32",
        environment=ENVIRONMENT,
        threads=None,
        busy_before=0.5,
        prompts_of="the test split of made-1",
        prompts=30,
        max_tokens=8,
        levels=list(levels),
    )


def test_the_document_tells_what_is_missing_and_what_was_asked_twice() -> None:
    few = level_of(
        [Reply("x", 0.1, 0.1, tokens=3, finish="length")] * 6 + [Reply("", 1.0, error="HTTP status 500")],
        clients=4,
        warm_up=4,
        seconds=1.0,
        distinct=3,
    )
    table = for_readers(load_table(record(few)))
    assert "first token p95" not in table.columns
    assert table.rows[0][2].value == 1
    notes = " ".join(table.notes)
    for words in ("6 answered requests", "1 x HTTP status 500", "6 answers were cut", "at clients: 4"):
        assert words in notes
    assert "its own number of threads" in load_report(record(few)).summary[0]
