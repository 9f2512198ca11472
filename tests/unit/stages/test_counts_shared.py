"""A rehearsal's counts are those of its stage: both look for them under one name."""

from __future__ import annotations

import pytest

from harness.pipeline.load import find_comparison, load_comparison
from harness.pipeline.overrides import Overrides
from harness.pipeline.plan import plan_comparison
from harness.records import PlannedStage, StageRequest
from harness.running.resolve import resolve
from harness.stages.train import _beyond_harness


def depends(stage: PlannedStage) -> str:
    request = StageRequest(
        digest=stage.digest,
        kind=stage.kind,
        name=stage.name,
        seed=stage.seed,
        config=stage.config,
        inputs={},
        covers=stage.covers,
    )
    return _beyond_harness(request)


@pytest.mark.parametrize("method", ["sft", "dpo", "orpo"])
def test_a_rehearsal_and_its_stages_depend_on_the_same(method: str) -> None:
    spec = load_comparison(find_comparison("embedded", model=None), Overrides(seeds="2"))
    stages = plan_comparison(spec, resolve(spec)).stages.values()
    rehearsals = [s for s in stages if s.kind == "rehearse" and s.config["job"]["method"] == method]
    trained = [s for s in stages if s.kind == "train" and s.config["method"] == method]
    assert rehearsals
    assert trained
    assert len({depends(stage) for stage in (*rehearsals, *trained)}) == 1
