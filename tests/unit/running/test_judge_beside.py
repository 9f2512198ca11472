"""A judge that the comparison does not name: what its settings name changes the stage that asks it."""

from __future__ import annotations

from pathlib import Path

from harness.pipeline.load import find_comparison, load_comparison
from harness.pipeline.overrides import Overrides
from harness.pipeline.stage_plans import StagePlans
from harness.running.resolve import resolve

ASKED = {"prompts": 4, "samples": 2, "temperature": 1.0}


def digest(folder: Path) -> str:
    spec = load_comparison(find_comparison("embedded", model=None), Overrides(sets=("score=[]",)))
    judge, settings = "reward_model", {"model": str(folder)}
    resolved = resolve(spec, beside=[("judges", judge)], judge=(judge, settings))
    plans = StagePlans(spec, resolved)
    asked = {**ASKED, "judge": judge, "judge_config": settings}
    return plans.sample("orpo", 0, plans.prepare(), "model", asked)


def test_another_reward_model_at_the_same_place_grades_anew(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    before = digest(tmp_path)
    assert digest(tmp_path) == before
    (tmp_path / "config.json").write_text('{"num_labels": 1}')
    assert digest(tmp_path) != before
