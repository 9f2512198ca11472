"""Fairness across devices: ratios within blocks, by kind and over kinds; no mean of seconds over kinds."""

from __future__ import annotations

import json
import math
import random
import statistics
from pathlib import Path

import pytest
from synthetic import On, make_view, on_fleet

from harness.commands.report import render
from harness.evidence.contrasts import cost_contrast
from harness.evidence.costs import BY_KIND, arm_cost, cost_ratio, kind_ratios
from harness.evidence.documents.comparison import build_report
from harness.evidence.documents.mixing import same_device
from harness.evidence.power import plan_power
from harness.evidence.statistics.calibration_cases import simulated, with_noise
from harness.evidence.statistics.calibration_kinds import kind_cases
from harness.evidence.statistics.kinds import over_kinds, pooled_variance
from harness.evidence.view import ComparisonView
from harness.pipeline.questions_spec import QuestionSpec
from harness.quantities import ENERGY, FLOPS, PEAK_MEMORY, WALL_SECONDS
from harness.tables import Report

SLOW, FAST, OTHER = On("A100", "GPU-a"), On("H100", "GPU-b", 0.5), On("A100", "GPU-c")
SEEDS = tuple(range(6))
RATIO = 25 / 40
"""ORPO's seconds over those of SFT then DPO, on any device."""


def fleet(spread: float = 0.02) -> ComparisonView:
    """Two of six blocks on a kind that is twice as fast."""
    return on_fleet(
        make_view(seeds=SEEDS, full=True), {s: FAST if s < 2 else SLOW for s in SEEDS}, spread=spread
    )


def unfair() -> ComparisonView:
    """Three seeds; at one ORPO alone was moved to the fast kind."""
    view = make_view(seeds=(0, 1, 2, 3))
    places = {0: FAST, 1: SLOW, 2: SLOW, 3: FAST}
    return on_fleet(view, places, moved={"orpo1": FAST}, spread=0.01)


def naive(view: ComparisonView, arm: str) -> list[float]:
    """Seconds of all cells, wherever they ran."""
    return [
        sum(float(stage.measured("wall_seconds").value or 0) for stage in view.stages_of(cell))  # type: ignore[union-attr]
        for cell in view.blocks_of(arm)
    ]


def test_one_kind_is_as_it_was() -> None:
    """Several devices of one kind are one population of runs."""
    one = on_fleet(make_view(seeds=SEEDS), {s: SLOW if s % 2 else OTHER for s in SEEDS}, spread=0.02)
    assert not one.mixed_fleet
    ratio = cost_ratio(one, "orpo", "sft_dpo", WALL_SECONDS)
    assert (ratio.n, ratio.target) == (6, "repeated runs on devices of this kind")
    assert arm_cost(one, "orpo", WALL_SECONDS).value is not None
    alone = on_fleet(make_view(seeds=SEEDS), dict.fromkeys(SEEDS, SLOW), spread=0.02)
    assert cost_ratio(alone, "orpo", "sft_dpo", WALL_SECONDS).target == "repeated runs on this device"


def test_seconds_of_several_kinds_have_no_mean() -> None:
    view = fleet()
    for quantity in (WALL_SECONDS, ENERGY):
        cost = arm_cost(view, "orpo", quantity)
        assert (cost.value, cost.per_seed, cost.reason) == (None, (), BY_KIND)
        assert len(cost.by_block) == 6
    fast, slow = (arm_cost(view, "orpo", WALL_SECONDS, kind).value for kind in ("H100", "A100"))
    assert fast is not None
    assert slow is not None
    assert fast / slow == pytest.approx(0.5, rel=0.35), "seeds differ in synthetic seconds too"
    assert arm_cost(view, "orpo", FLOPS).value == 2e12
    assert arm_cost(view, "orpo", PEAK_MEMORY).value is not None


def test_ratios_are_of_blocks_by_kind_and_combined_over_kinds() -> None:
    view = fleet()
    ratio = cost_ratio(view, "orpo", "sft_dpo", WALL_SECONDS)
    assert ratio.target == "kinds of device like these 2"
    assert ratio.value == pytest.approx(RATIO, rel=0.03)
    assert ratio.low is not None
    assert ratio.high is not None
    assert ratio.low < RATIO < ratio.high
    found = kind_ratios(view, *(arm_cost(view, arm, WALL_SECONDS) for arm in ("orpo", "sft_dpo")))
    assert found is not None
    assert {kind: one.n for kind, one in found.by_kind.items()} == {"H100": 2, "A100": 4}
    assert all(one.value == pytest.approx(RATIO, rel=0.05) for one in found.by_kind.values())
    contrast = cost_contrast(view, WALL_SECONDS, "orpo", "sft_dpo")
    assert contrast.estimate == ratio


def test_an_arm_gains_nothing_from_where_it_ran() -> None:
    """A mean of seconds makes ORPO a tenth cheaper than it is; the block that was split is left out."""
    view = unfair()
    mean_of_seconds = statistics.mean(naive(view, "orpo")) / statistics.mean(naive(view, "sft_dpo"))
    assert mean_of_seconds < 0.9 * RATIO
    assert [block.name for block in view.blocks.values() if not block.whole] == ["seed 1"]
    ratio = cost_ratio(view, "orpo", "sft_dpo", WALL_SECONDS)
    assert ratio.value == pytest.approx(RATIO, rel=0.03)
    assert arm_cost(view, "sft_dpo", WALL_SECONDS, "A100").per_seed == (pytest.approx(48.0, rel=0.05),), (
        "the split block is part of no mean"
    )
    assert len(arm_cost(view, "orpo", FLOPS).by_block) == 4, "FLOPs are the same everywhere"


def test_where_every_block_was_split_there_is_no_ratio() -> None:
    view = on_fleet(make_view(), {0: SLOW, 1: SLOW}, moved={"orpo0": FAST, "orpo1": FAST})
    ratio = cost_ratio(view, "orpo", "sft_dpo", WALL_SECONDS)
    assert (ratio.value, ratio.reason) == (None, "every block ran on several devices")


def test_repeated_fleets_cover_the_ratio_where_a_mean_of_seconds_misses_it() -> None:
    """400 fleets with 4 blocks on a slow kind and 2 on one twice as fast, ORPO once moved to the fast one."""
    chance, truth = random.Random(1), math.log(RATIO)
    covered = off = 0
    for _ in range(400):

        def noise() -> float:
            return math.exp(chance.gauss(0, 0.03))

        slow = [(25 * noise(), 40 * noise()) for _ in range(4)]
        fast = [(12.5 * noise(), 20 * noise()) for _ in range(2)]
        found = over_kinds({k: [math.log(a / b) for a, b in of] for k, of in {"s": slow, "f": fast}.items()})
        estimate = found.estimate
        assert estimate.low is not None
        assert estimate.high is not None
        covered += math.log(estimate.low) <= truth <= math.log(estimate.high)
        moved = [(12.5 * noise(), 40 * noise()), *slow[1:], *fast]
        off += statistics.mean(a for a, _ in moved) / statistics.mean(b for _, b in moved) < RATIO * 0.97
    assert covered / 400 >= 0.93
    assert off / 400 > 0.95, "the mean of seconds favours the arm that was moved"


def test_a_kind_with_one_block_borrows_the_spread_of_the_others() -> None:
    assert pooled_variance([[1.0, 3.0], [5.0]]) == (2.0, 1.0)
    found = over_kinds({"a": [0.1, 0.12, 0.09], "b": [0.11]})
    assert found.by_kind["b"].low is None
    assert found.combined is not None
    assert found.predicted is None, "two kinds say nothing of a third"
    alone = over_kinds({"a": [0.1], "b": [0.11]})
    assert (alone.combined, alone.estimate.value) == (None, None)
    assert (
        alone.estimate.reason == "no kind of device has two blocks, so nothing tells how far a ratio varies"
    )
    three = over_kinds({"a": [0.1, 0.12], "b": [0.11, 0.1], "c": [0.3, 0.31]})
    assert three.predicted is not None
    assert three.combined is not None
    assert three.combined.tau > 0.05


def test_intervals_over_kinds_cover_at_every_fleet_of_the_grid() -> None:
    """With 20,000 simulations a cell, as `harness calibrate` has them, each holds without room for noise."""
    cases = simulated(kind_cases(2_000))
    assert len(cases) == 36
    assert all(case.covered is not None and case.covered >= 0.93 for case in cases)
    assert all(case.rejected is None or case.rejected <= with_noise(0.05, 2_000) for case in cases)


def test_seeds_are_planned_by_the_spread_within_a_kind() -> None:
    """Kinds that differ by a factor of two in speed add nothing to the spread of a ratio."""
    question = QuestionSpec(quantity="cost.wall_seconds", a="orpo", b="sft_dpo", margin=0.1)
    spread = plan_power([question], 5, fleet())[0].spread
    assert spread is not None
    assert spread.freedom == 4
    assert 0.005 < spread.sd < 0.06


def report_of(view: ComparisonView) -> Report:
    return build_report(view)


def test_the_report_of_a_mixed_fleet_tells_seconds_by_kind() -> None:
    report = report_of(fleet())
    tables = {table.name: table for section in report.sections for table in section.tables}
    kinds = tables["kinds"]
    assert [(row[0].value, row[1].value, row[2].value) for row in kinds.rows][:2] == [
        ("H100", "sft", 2),
        ("H100", "sft_dpo", 2),
    ]
    assert "training time of sft_dpo" in kinds.columns
    over = {(row[0].value, row[1].value): row[3] for row in tables["over_kinds"].rows}
    assert over["orpo", "training time"].value == pytest.approx(RATIO, rel=0.03)
    assert {row[6].value for row in tables["blocks"].rows} == {"whole"}
    assert tables["blocks"].rows[0][2].value == "node of GPU-b"
    assert tables["ledger"].columns[-1] == "ran on"
    assert tables["ledger"].rows[0][-1].value == "H100 GPU-b"
    main = tables["main"]
    time = main.columns.index("training time")
    assert {row[time].value for row in main.rows} == {"by kind"}
    assert {row[1].reason for row in tables["prices"].rows} == {BY_KIND}
    assert "95% interval about kinds of device like these 2" in " ".join(report.summary)
    assert report.first is not None
    assert "Seeds ran on 2 kinds of device: times stand by kind." in report.first.warnings


def test_a_split_block_is_named_among_the_limits() -> None:
    report = report_of(unfair())
    limits = next(one for one in report.sections if one.title == "What can and cannot be concluded")
    assert any(one.startswith("Not every block stayed on one device (seed 1)") for one in limits.paragraphs)


def test_times_of_one_run_stand_side_by_side_on_one_kind_and_of_two_runs_on_one_device() -> None:
    one_kind = on_fleet(make_view(), {0: SLOW, 1: OTHER})
    assert same_device([one_kind])
    assert not same_device([one_kind, one_kind])
    assert not same_device([on_fleet(make_view(), {0: SLOW, 1: FAST})])
    same = on_fleet(make_view(), {0: SLOW, 1: SLOW})
    assert same_device([same, same])


def test_every_format_takes_a_mixed_fleet(tmp_path: Path) -> None:
    folder = render(report_of(fleet()), tmp_path / "report")
    assert "by kind" in (folder / "report.html").read_text(encoding="utf-8")
    told = json.loads((folder / "comparison.json").read_text(encoding="utf-8"))["arms"]["orpo"]["cost"]
    assert told["wall_seconds"] is None
    assert set(told["by_kind"]["wall_seconds"]) == {"A100", "H100"}
    assert "H100" in (folder / "tables" / "kinds.tex").read_text(encoding="utf-8")


def test_one_device_has_no_section_of_devices() -> None:
    titles = [section.title for section in report_of(make_view(full=True)).sections]
    assert "Devices" not in titles
