"""Two arms that compare with the same model score it once, and both are charged: with real processes."""

from __future__ import annotations

from typing import Any

import pytest
from func.test_resume import DATA, TRAINING, _digests, run, silent

from harness.records import StageResult, TrainFacts
from harness.store.run_dir import RunRoot

CONFIG = {**TRAINING, "reference": "precomputed"}


@pytest.fixture(scope="module")
def stages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, StageResult]:
    """Three arms of one seed; the last is asked to measure anew, and another never looks at the cache."""
    root = RunRoot(tmp_path_factory.mktemp("runs"))
    root.open_for_writing()
    run(root, "prepared", "prepare", silent, config={"model": "embedded", "data": DATA})
    inputs = {"prepared": str(root.stage_folder("prepared").resolve())}
    asked: dict[str, tuple[dict[str, Any], bool]] = {
        "first": ({"beta": 0.5}, False),
        "second": ({"beta": 0.1}, False),
        "anew": ({"beta": 0.1}, True),
        "off": ({"beta": 0.1, "reference_cache": "off"}, False),
    }
    return {
        name: run(
            root,
            name,
            "train",
            silent,
            config={"method": "dpo", "config": {**CONFIG, **settings}},
            inputs=inputs,
            anew=anew,
        )
        for name, (settings, anew) in asked.items()
    }


def figures(result: StageResult) -> dict[str, float]:
    return {m.quantity: m.value for m in result.ledger if m.value is not None}


@pytest.mark.slow
def test_the_second_arm_reads_and_is_charged(stages: dict[str, StageResult]) -> None:
    first, second = figures(stages["first"]), figures(stages["second"])
    assert first["reference_seconds"] == second["reference_seconds"] > 0
    assert first["reference_flops"] == second["reference_flops"] > 0
    parts = ("model_load_seconds", "reference_seconds", "train_seconds", "save_seconds")
    assert second["wall_seconds"] == pytest.approx(sum(second[part] for part in parts))
    spent = [second[part] for part in parts if part != "reference_seconds"]
    assert second["amortised_seconds"] == pytest.approx(sum(spent) + second["reference_read_seconds"])
    assert second.keys() - first.keys() == {"amortised_seconds", "reference_read_seconds"}
    told = stages["second"].measured("reference_seconds")
    assert told is not None
    assert told.source == "clock of first (first)"


@pytest.mark.slow
def test_what_is_trained_is_the_same_whoever_scored(stages: dict[str, StageResult]) -> None:
    second, anew, off = (stages[name] for name in ("second", "anew", "off"))
    assert _digests(second) == _digests(anew) == _digests(off)
    facts = [one.facts_as(TrainFacts).reference for one in (second, anew, off)]
    assert [one.scored_in for one in facts if one is not None] == ["first", None, None]
    assert "amortised_seconds" not in {**figures(anew), **figures(off)}
