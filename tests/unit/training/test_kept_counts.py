"""Counts of steps are made once for stages that ask for the same, and again where anything differs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from unit.training.test_counting import trainer_of

from harness.measure.counting import FlopCount
from harness.measure.flops import Bucket, FlopModel
from harness.training import flops
from harness.training.job import StageTrainer, TrainJob
from harness.training.kept_counts import KeptCounts, kept_counts
from harness.training.load import load_policy

MakeJob = Callable[..., TrainJob]
ONE, TWO = Bucket(2, 8, 4), Bucket(2, 16, 4)


def counted(total: int) -> FlopCount:
    return FlopCount(total, ("some.op",), {"mm": total})


def test_what_was_kept_is_read_and_not_counted_again(tmp_path: Path) -> None:
    KeptCounts(tmp_path / "a" / "x.json", "told so").keep({ONE: counted(5)}, {TWO: counted(7)})
    kept = KeptCounts.read(tmp_path / "a" / "x.json")
    assert (kept.why_real, kept.steps, kept.reference) == ("told so", {ONE: counted(5)}, {TWO: counted(7)})
    ran: list[Bucket] = []
    model = FlopModel({ONE: 3, TWO: 1}, ran.append, kept.steps, lambda run, tokens: _runs(run))
    assert model.total({ONE: 3, TWO: 1}).total == 15 + 1
    assert ran == [TWO]


def _runs(run: Any) -> FlopCount:
    run()
    return counted(1)


def test_a_file_that_was_changed_is_counted_again(tmp_path: Path) -> None:
    file = tmp_path / "x.json"
    KeptCounts(file).keep({ONE: counted(5)}, {})
    file.write_text(file.read_text().replace('"total": 5', '"total": 6'))
    assert KeptCounts.read(file).steps == {}


def test_nothing_is_written_without_a_folder_or_news(tmp_path: Path) -> None:
    KeptCounts().keep({ONE: counted(5)}, {})
    kept = KeptCounts(tmp_path / "x.json", None, {ONE: counted(5)})
    kept.keep({ONE: counted(5)}, {})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("changes", "again"), [({"learning_rate": 3e-4}, False), ({"lambda": 0.75}, True)])
def test_stages_with_equal_steps_count_once(
    make_job: MakeJob, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, changes: dict[str, Any], again: bool
) -> None:
    buckets = [ONE, TWO]
    first = _trainer(make_job("orpo", **{"lambda": 0.5}), tmp_path)
    counted_first = flops.count(first, buckets, [])
    second = _trainer(make_job("orpo", **{"lambda": 0.5, **changes}), tmp_path)
    ran: list[Bucket] = []
    step_once = second.step_once
    monkeypatch.setattr(second, "step_once", lambda bucket: (ran.append(bucket), step_once(bucket)))
    assert flops.count(second, buckets, []) == counted_first
    assert bool(ran) == again


def test_a_stage_from_trained_weights_counts_as_its_rehearsal_from_the_base_did(
    make_job: MakeJob, tmp_path: Path
) -> None:
    names = set()
    for use_cache in (True, False):
        trainer = _trainer(make_job("dpo", beta=0.1), tmp_path)
        for model in trainer.models():
            model.config.use_cache = use_cache
            model.config._name_or_path = str(use_cache)
        names.add(kept_counts(trainer).file)
    assert len(names) == 1


def test_a_reference_behind_adapters_is_none_without_them(make_job: MakeJob, tmp_path: Path) -> None:
    """Scored before the first step: the adapter that goes on training, or the base below a fresh one."""
    settings = {"lora": {"r": 4, "alpha": 8}, "beta": 0.5, "reference": "precomputed"}
    base = make_job("dpo", **settings)
    adapters = tmp_path / "adapters"
    load_policy(base).model.save_pretrained(adapters)
    goes_on, fresh = (
        flops.count(_trainer(job, tmp_path), [ONE], [ONE])
        for job in (make_job("dpo", model=str(adapters), **settings), base)
    )
    assert goes_on.reference > fresh.reference


def test_a_head_that_keeps_its_logits_is_not_one_that_makes_them_again(
    make_job: MakeJob, tmp_path: Path
) -> None:
    """As many as the longest pair may have decide, which no setting of the method says."""
    short = make_job("sft")
    long = replace(short, facts=short.facts.model_copy(update={"max_length": 10**6}))
    kept, again = (flops.count(_trainer(job, tmp_path), [ONE], []) for job in (short, long))
    assert again.total > kept.total


def _trainer(job: TrainJob, folder: Path) -> StageTrainer:
    return trainer_of(replace(job, counts_folder=folder / "flops"))
