"""Stages on several devices in the report: what arms are charged, and the table of ranks."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from synthetic import SECONDS, make_view

from harness.commands.closing import cost_line
from harness.evidence.costs import arm_cost, cost_title
from harness.evidence.documents.comparison import build_report
from harness.evidence.documents.comparison_json import comparison_data
from harness.evidence.findings import findings
from harness.evidence.sections import parallel, results
from harness.evidence.sections.predictions import predictions_table
from harness.evidence.view import ComparisonView
from harness.quantities import FLOPS, WALL_SECONDS
from harness.records import Measurement, ParallelFacts, RankFacts, TrainFacts
from harness.tables import Table

RANKS = [
    RankFacts(
        rank=rank,
        device=f"GPU-{rank}",
        micro_batches=4 - rank,
        pairs=16 - 4 * rank,
        tokens_real=100,
        tokens_padded=120,
        seconds=9.0,
        waited_seconds=1.0 + rank,
        peak_memory_bytes=(2 + rank) * 2**30,
        joules=None,
    )
    for rank in range(2)
]
FACTS = ParallelFacts(devices=2, how="fsdp2", ranks=RANKS, void_micro_batches=1, void_flops=10**9)


def on_two_devices(view: ComparisonView) -> ComparisonView:
    """Every training stage shared by two devices, with what its ledger then holds."""
    found = {}
    for digest, stage in view.record.results.items():
        if isinstance(stage.facts, TrainFacts):
            seconds = next(m.value for m in stage.ledger if m.quantity == "wall_seconds")
            more = [entry("device_seconds", 2 * float(seconds or 0)), entry("waiting_seconds", 3.0)]
            facts = stage.facts.model_copy(update={"parallel": FACTS})
            stage = stage.model_copy(update={"facts": facts, "ledger": [*stage.ledger, *more]})
        found[digest] = stage
    return replace(view, record=view.record.model_copy(update={"results": found}))


def entry(quantity: str, value: float) -> Measurement:
    return Measurement(quantity=quantity, value=value, unit="s", scope="stage", source="made")


def column(table: Table, name: str) -> list[Any]:
    index = table.columns.index(name)
    return [row[index].value for row in table.rows]


def test_an_arm_is_charged_the_seconds_of_all_its_devices_and_its_flops_once() -> None:
    one, two = make_view(), on_two_devices(make_view())
    for arm in one.arms:
        alone = arm_cost(one, arm, WALL_SECONDS).value
        assert alone is not None
        assert arm_cost(two, arm, WALL_SECONDS).value == pytest.approx(2 * alone)
        assert arm_cost(two, arm, FLOPS).value == arm_cost(one, arm, FLOPS).value
    assert (cost_title(one, WALL_SECONDS), cost_title(two, WALL_SECONDS)) == (
        "training time",
        "device-seconds",
    )
    table = results.section(findings(two)).tables[0]
    assert "device-seconds" in table.columns
    assert any("times the devices" in note for note in table.notes)


def test_a_prediction_is_held_against_the_seconds_that_passed() -> None:
    one, two = (
        column(t, "measured") for t in map(predictions_table, (make_view(), on_two_devices(make_view()))) if t
    )
    assert one == two


def test_json_says_what_kind_of_seconds_they_are() -> None:
    told = comparison_data(findings(on_two_devices(make_view())))["arms"]["orpo"]["cost"]
    assert told["time_kind"] == "device_seconds"
    line = cost_line(comparison_data(findings(on_two_devices(make_view()))))
    assert "of the device-seconds" in line
    assert "training time" not in line
    assert "time_kind" not in comparison_data(findings(make_view()))["arms"]["orpo"]["cost"]


def test_a_row_a_rank_where_some_stage_had_several_devices_and_no_section_elsewhere() -> None:
    assert parallel.section(findings(make_view())) is None
    view = on_two_devices(make_view())
    section = parallel.section(findings(view))
    assert section is not None
    stages, ranks = section.tables
    assert column(stages, "devices") == [2] * len(view.trained_stages)
    assert column(stages, "how")[0] == "a share of the weights on each (FSDP2)"
    first = SECONDS[view.trained_stages[0].name.rpartition("/")[2].partition("@")[0]]
    assert column(stages, "device-seconds")[0] == pytest.approx(2 * first, rel=0.3)
    assert column(ranks, "rank")[:2] == [0, 1]
    assert column(ranks, "seconds waiting")[:2] == [1.0, 2.0]
    assert column(ranks, "seconds besides")[:2] == [8.0, 7.0]
    assert column(ranks, "peak memory")[:2] == [2 * 2**30, 3 * 2**30]
    assert "Several devices a stage" in [one.title for one in build_report(view).sections]
