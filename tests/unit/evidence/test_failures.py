"""A report on what is left: it says what failed first, and no figure is of a seed that is left out."""

from __future__ import annotations

from dataclasses import replace

from synthetic import make_view

from harness.evidence.documents.comparison import build_report
from harness.evidence.failures import failures
from harness.evidence.view import ComparisonView
from harness.records import FailedStage, MissingCell, Score, StageUse

CAUSE = "diverged at step 31: loss nan; learning rate 1e+06; the last good step was 30, loss 0.9"
LOG = "stages/0123/log.txt"


def failed_view() -> ComparisonView:
    """ORPO failed at seed 2, where the others finished: seeds 0 and 1 are compared."""
    view = make_view(seeds=(0, 1))
    record = view.record
    scored = record.results["ev-sft0"].model_copy(
        update={
            "digest": "ev-sft2",
            "name": "sft/evaluate@2",
            "scores": [Score(benchmark="preference", metric="accuracy", estimate=0.75, n=20)],
        }
    )
    missing = [
        MissingCell(arm="sft", seed=2, finished=True, why="finished, but orpo did not", evaluate="ev-sft2"),
        MissingCell(arm="orpo", seed=2, finished=False, why=f"orpo/orpo@2 {CAUSE}", stages=["0123"]),
    ]
    failed = [FailedStage(digest="0123", name="orpo/orpo@2", cause=CAUSE, log=LOG)]
    results = {**record.results, "ev-sft2": scored}
    uses = {**record.uses, "ev-sft2": StageUse(digest="ev-sft2")}
    return replace(
        view,
        record=record.model_copy(
            update={"failed": failed, "missing": missing, "results": results, "uses": uses}
        ),
    )


def test_the_first_page_and_the_summary_say_it_first() -> None:
    report = build_report(failed_view())
    assert report.first is not None
    for text in (report.first.warnings[0], report.summary[0]):
        assert text.startswith("Seed 2 is left out of every arm, since a stage failed (orpo at seed 2: ")
        assert CAUSE in text
        assert "Figures are over seed 0, 1" in text


def test_tables_tell_what_failed_and_what_the_others_scored() -> None:
    tables = {table.name: table for table in build_report(failed_view()).tables()}
    assert [cell.value for cell in tables["failed"].rows[0]] == ["orpo/orpo@2", CAUSE, LOG]
    first, second = tables["uncompared"].rows
    assert [cell.value for cell in first] == [
        *("sft", 2, 0, "finished, but orpo did not", "preference.accuracy", 0.75),
    ]
    assert first[-1].sources == ("ev-sft2",)
    assert second[-1].value is None
    assert second[-1].reason == "none was taken"


def test_methods_say_that_the_seed_is_left_out() -> None:
    text = " ".join(one.text for one in build_report(failed_view()).methods)
    assert "at seeds 0, 1" in text
    assert "seed 2 is left out of every arm, since a stage failed there" in text


def test_a_repeat_that_failed_is_told_too() -> None:
    cells = [
        MissingCell(arm="sft", seed=1, repeat=1, finished=True, why="finished", stages=["sft1"]),
        MissingCell(arm="orpo", seed=1, repeat=1, finished=False, why=f"orpo/orpo@1#1 {CAUSE}", stages=["x"]),
    ]
    failed = [FailedStage(digest="x", name="orpo/orpo@1#1", cause=CAUSE, log=LOG)]
    record = make_view().record.model_copy(update={"failed": failed, "missing": cells})
    assert failures(record) == [
        f"Repeat 1 of seed 1 is left out of every arm's costs: orpo/orpo@1#1 {CAUSE}."
    ]


def test_a_run_without_failures_has_no_such_section() -> None:
    report = build_report(make_view())
    assert all(section.title != "What failed" for section in report.sections)


def test_an_arm_that_failed_everywhere_and_a_judge_that_failed() -> None:
    view = make_view(arms={"sft": ["sft"], "sft_dpo": ["sft", "dpo"]})
    cells = [
        MissingCell(arm="orpo", seed=seed, finished=False, why=f"orpo/orpo@{seed} {CAUSE}", stages=["a"])
        for seed in (0, 1)
    ]
    failed = [
        FailedStage(digest="a", name="orpo/orpo@0", cause=CAUSE, log=LOG),
        FailedStage(digest="b", name="judge", cause="its process was ended by SIGKILL", log=LOG),
    ]
    record = view.record.model_copy(update={"failed": failed, "missing": cells})
    assert failures(record) == [
        f"orpo failed at every seed and is left out: orpo/orpo@0 {CAUSE}.",
        "judge failed (its process was ended by SIGKILL): what it scores is missing.",
    ]
