"""Several runs in one table, what may not be mixed, and what two runs have differently."""

from __future__ import annotations

from typing import Any

import pytest
from synthetic import make_view

from harness.evidence.documents.differences import differences
from harness.evidence.documents.many import many_report
from harness.evidence.documents.mixing import forbidden, same_device
from harness.evidence.view import ComparisonView


def renamed(view: ComparisonView, name: str, **spec: Any) -> ComparisonView:
    plan = view.record.plan
    plan = plan.model_copy(update={"id": name, "spec": {**plan.spec, "model": name, **spec}})
    return ComparisonView(view.record.model_copy(update={"id": name, "plan": plan}), view.items, view.series)


def with_configs(view: ComparisonView, **settings: Any) -> ComparisonView:
    """Every training stage of ORPO with these settings."""
    stages = {
        digest: stage.model_copy(update={"config": {"method": "orpo", "config": settings}})
        if stage.kind == "train" and stage.name.startswith("orpo/")
        else stage
        for digest, stage in view.record.plan.stages.items()
    }
    plan = view.record.plan.model_copy(update={"stages": stages})
    return ComparisonView(view.record.model_copy(update={"plan": plan}), view.items, view.series)


def test_rows_are_runs_and_columns_are_arms() -> None:
    views = [renamed(make_view(), "small"), renamed(make_view(seeds=(3, 4, 5)), "large")]
    assert forbidden(views) == []
    report = many_report(views)
    tables = {table.name: table for table in report.tables()}
    table = tables["runs_preference_accuracy"]
    assert table.columns == ("model", "data", "seeds", "sft", "sft_dpo", "orpo")
    assert [row[0].value for row in table.rows] == ["small", "large"]
    assert tables["runs_relative_flops"].rows[0][5].value == pytest.approx(2 / 3.67)
    assert "preference.accuracy, orpo against sft_dpo: 2 not separable" in tables["runs_differences"].notes[0]


def test_what_parity_forbids_is_refused_and_named() -> None:
    plain = renamed(make_view(), "small")
    for broken, said in (
        (with_configs(renamed(make_view(), "large"), implementation="trl"), "arm orpo differs"),
        (renamed(make_view(), "large", budget={"axis": "flops"}), "budget's axis differs"),
        (renamed(make_view(), "large", generation={"temperature": 1.0}), "answers' settings differ"),
    ):
        started = renamed(with_configs(plain, implementation="matched"), "small", budget={"axis": "epochs"})
        started = renamed(started, "small", generation={"temperature": 0.0})
        found = forbidden([started, broken])
        assert any(said.replace("differ", "differ") in one or said in one for one in found), found
    assert "are the same model, data and seeds" in forbidden([plain, plain])[0]


def test_times_of_different_devices_are_left_out() -> None:
    first, second = renamed(make_view(), "small"), renamed(make_view(), "large")
    results = {
        digest: result.model_copy(
            update={"environment": result.environment.model_copy(update={"device_name": "another"})}
        )
        for digest, result in second.record.results.items()
    }
    second = ComparisonView(
        second.record.model_copy(update={"results": results}), second.items, second.series
    )
    assert same_device([first, first])
    assert not same_device([first, second])
    tables = {table.name: table for table in many_report([first, second]).tables()}
    assert tables["runs_wall_seconds"].rows[0][3].value is None
    assert tables["runs_flops"].rows[0][3].value is not None
    assert tables["runs_relative_wall_seconds"].rows[0][3].value is not None


def test_differences_of_two_runs() -> None:
    first = renamed(make_view(), "small", stages={"dpo": {"beta": 0.1}})
    assert differences(first, first) == []
    second = renamed(make_view(), "small", stages={"dpo": {"beta": 0.5}})
    second.items["orpo@0"]["preference.accuracy"]["i0"] = 0.5
    found = {(d.group, d.name): (d.a, d.b) for d in differences(first, second)}
    assert found["Settings", "stages.dpo.beta"] == ("0.1", "0.5")
    assert ("Results", "orpo: preference.accuracy") in found
    assert not any(group == "Surroundings" for group, _ in found)
