"""What a user writes: what is taken, and every message for what is not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from harness.errors import UserError
from harness.pipeline.load import find_comparison, load_comparison, stage_config
from harness.pipeline.overrides import Overrides, parse_seeds
from harness.pipeline.plan import plan_comparison
from harness.pipeline.resolved import Reach, Resolved

RESOLVED = Resolved(judged=frozenset({"alpaca_eval"}))


def embedded(**overrides: Any) -> Any:
    return load_comparison(find_comparison("embedded", model=None), Overrides(**overrides))


@pytest.mark.parametrize("name", ["embedded", "ultrafeedback"])
def test_shipped_comparisons_load_and_plan(name: str) -> None:
    plan = plan_comparison(load_comparison(find_comparison(name, model=None)), RESOLVED)
    assert plan.order[0] == plan.prepare
    assert {c.arm for c in plan.cells} == {"sft", "sft_dpo", "orpo"}


def test_a_model_without_a_comparison_means_ultrafeedback() -> None:
    assert find_comparison(None, model="org/name").stem == "ultrafeedback"
    assert find_comparison(None, model=None).stem == "embedded"


@pytest.mark.parametrize(
    ("sets", "message"),
    [
        ("stages.dpo.bta=0.1", r'--set stages.dpo.bta: unknown key stages.dpo.bta; did you mean "beta"\?'),
        ("stages.orpo.lambda=-0.1", r"stages.orpo.lambda is -0.1; give a number of at least 0"),
        ("stages.orpo.lambda_or=0.1", r"lambda_or is no key of ORPO here; the weight .* called `lambda`"),
        ("stages.orpo.orpo_alpha=0.1", r"orpo_alpha is no key of ORPO here"),
        ("stages.sft.learning_rate=-1e-4", r"stages.sft.learning_rate is -0.0001; give a number above 0"),
        ("stages.sft.epochs=many", r"stages.sft.epochs is 'many'; give a number"),
        ("data.sorce=x", r'unknown key data.sorce; did you mean "source"\?'),
        ("training.batchsize=4", r'unknown key of training "batchsize"; did you mean "batch_size"'),
        ("training.micro_batch_size=5", r"batch_size 32 is not a multiple of micro_batch_size 5"),
        ("stages.dp.beta=1", r'unknown stage "dp"; did you mean "dpo"'),
        ("stages.dpo.reference=later", r"stages.dpo.reference is 'later'; give one of 'in_loop'"),
        ("training.quantization=4bit", r"quantization needs lora"),
        ("benchmarks.rubric.juge=embedded", r'unknown key benchmarks.rubric.juge; did you mean "judge"\?'),
        ("nonsense", r"--set nonsense has no value; write KEY=VALUE"),
        ("allow_unequal=[precison]", r'unknown parity check "precison"; did you mean "precision"'),
    ],
)
def test_mistakes_in_set_have_one_clear_message(sets: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        embedded(sets=(sets,))


@pytest.mark.parametrize("written", ["on", "off", "auto"])
def test_a_switch_is_written_bare(written: str) -> None:
    """Though YAML reads on and off as true and false."""
    spec = embedded(sets=(f"training.packing={written}",))
    assert stage_config(spec, spec.arms[0].stages[0]).packing == written


@pytest.mark.parametrize(("written", "kept"), [("off", "off"), ("auto", "auto")])
def test_a_reference_that_scores_once_may_be_kept_or_not(written: str, kept: str) -> None:
    spec = embedded(arms=["sft_dpo_precomputed"], sets=(f"stages.dpo.reference_cache={written}",))
    config: Any = stage_config(spec, spec.arms[0].stages[1])
    assert config.reference_cache == kept


@pytest.mark.parametrize(
    ("sets", "message"),
    [
        (("stages.dpo.reference_cache=on",), r"dpo.reference_cache is 'on'; give one of 'auto' or 'off'"),
        (("training.packing=maybe",), r"stages.sft.packing is 'maybe'; give one of 'auto', 'on' or 'off'"),
        (("training.packing=1",), r"stages.sft.packing is 1; give one of 'auto', 'on' or 'off'"),
        (
            ("training.packing=on", "training.attention=eager"),
            r"packing: on cannot be kept \(attention: eager",
        ),
        (
            ("training.shared_prompt=on", "training.packing=off"),
            r"shared_prompt: on cannot .* \(packing: off",
        ),
        (("stages.orpo.packing=on", "stages.orpo.implementation=trl"), r"kept \(implementation: trl\)"),
    ],
)
def test_a_layout_that_settings_exclude_is_refused(sets: tuple[str, ...], message: str) -> None:
    with pytest.raises(UserError, match=message):
        embedded(sets=sets)


def test_unknown_names_suggest_the_nearest() -> None:
    with pytest.raises(UserError, match=r'unknown arm "sft_dp0"; did you mean "sft_dpo"\?'):
        embedded(arms=["sft_dp0"])
    with pytest.raises(UserError, match=r'unknown benchmark "preferences"; did you mean "preference"\?'):
        embedded(score=["preferences"])


def test_mistakes_in_a_file_name_file_and_line(tmp_path: Path) -> None:
    text = find_comparison("embedded", model=None).read_text()
    file = tmp_path / "mine.yaml"
    file.write_text(text.replace("  orpo:\n    learning_rate:", "  orpo:\n    learning_rat:"))
    line = (
        file.read_text().split("\n").index(next(r for r in file.read_text().split("\n") if "rat:" in r)) + 1
    )
    with pytest.raises(UserError, match=rf"mine.yaml:{line}: unknown key stages.orpo.learning_rat"):
        load_comparison(file)
    file.write_text("kind: comparison\nname: [\n")
    with pytest.raises(UserError, match=r"mine.yaml:\d: not valid YAML"):
        load_comparison(file)
    file.write_text("kind: comparison\nname: a\nname: b\n")
    with pytest.raises(UserError, match=r"mine.yaml:3: .*name stands twice"):
        load_comparison(file)


def test_an_unknown_method_is_named_with_its_line(tmp_path: Path) -> None:
    arm = tmp_path / "mine.yaml"
    arm.write_text("kind: arm\nname: mine\nstages:\n  - method: orp\n")
    comparison = tmp_path / "c.yaml"
    text = find_comparison("embedded", model=None).read_text()
    comparison.write_text(text.replace("arms: [sft, sft_dpo, orpo]", f"arms: [{arm}]"))
    with pytest.raises(UserError, match=r'mine.yaml:4: unknown method "orp"; did you mean "orpo"'):
        load_comparison(comparison)


def test_a_missing_learning_rate_is_an_error_not_a_default(tmp_path: Path) -> None:
    file = tmp_path / "c.yaml"
    text = find_comparison("embedded", model=None).read_text()
    file.write_text(text.replace("learning_rate: 0.005", "epochs: 1"))
    with pytest.raises(UserError, match=r"stages.sft.learning_rate is missing"):
        load_comparison(file)


@pytest.mark.parametrize(
    ("text", "seeds"), [("3", [0, 1, 2]), ("1", [0]), ("3,5,8", [3, 5, 8]), ("7,", [7]), ("0,", [0])]
)
def test_seeds(text: str, seeds: list[int]) -> None:
    assert parse_seeds(text) == seeds


@pytest.mark.parametrize("text", ["0", "-1", "x", "", "1,-2"])
def test_bad_seeds(text: str) -> None:
    with pytest.raises(UserError, match="--seeds is"):
        parse_seeds(text)


def test_arm_settings_win_over_the_comparison(tmp_path: Path) -> None:
    spec = embedded(arms=["sft_dpo", "sft_dpo_precomputed"], sets=("stages.dpo.reference=in_loop",))
    found = [stage_config(spec, arm.stages[1]).model_dump()["reference"] for arm in spec.arms]
    assert found == ["in_loop", "precomputed"]


WRITTEN_OUT = """
kind: comparison
name: mine
arms:
  - sft
  - name: sft_ipo
    stages:
      - method: sft
      - {entry}
seeds: [0]
training: {{learning_rate: 0.001}}
"""


def test_an_arm_is_written_out_where_it_is_used(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text(WRITTEN_OUT.format(entry="{method: ipo, config: {beta: 0.2}}"))
    spec = load_comparison(file)
    assert [arm.name for arm in spec.arms] == ["sft", "sft_ipo"]
    assert stage_config(spec, spec.arms[1].stages[1]).model_dump()["beta"] == 0.2


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ("{method: ipoo}", r'mine.yaml:9: unknown method "ipoo"'),
        ("{method: ipo, config: {beta: -1}}", r"mine.yaml:9: stages.ipo.beta is -1; give a number above 0"),
        ("{method: ipo, confg: {beta: 1}}", r"mine.yaml:9: .*confg"),
        ("{method: ipo}", r"stages.ipo.beta is missing"),
    ],
)
def test_a_mistake_in_an_arm_that_is_written_out_has_its_line(
    entry: str, message: str, tmp_path: Path
) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text(WRITTEN_OUT.format(entry=entry))
    with pytest.raises(UserError, match=message):
        load_comparison(file)


def test_every_rung_of_the_ladder_is_asked_against_the_one_below() -> None:
    spec = load_comparison(find_comparison("ladder", model=None))
    plan = plan_comparison(spec, RESOLVED)
    asked = {(q.a, q.b) for q in spec.questions}
    assert {a for a, _ in asked} == {cell.arm for cell in plan.cells} - {"sft"}
    arms = {arm.name: arm for arm in spec.arms}
    for a, b in asked:
        assert arms[a].stages != arms[b].stages


def test_shared_sft_is_one_stage_and_the_plan_is_repeatable() -> None:
    spec = embedded(seeds="2")
    plan = plan_comparison(spec, RESOLVED)
    assert plan == plan_comparison(embedded(seeds="2"), RESOLVED)
    trains = [s for s in plan.stages.values() if s.kind == "train"]
    assert len(trains) == 2 * 3
    sft = {c.stages[0] for c in plan.cells if c.arm in ("sft", "sft_dpo") and c.seed == 0}
    assert len(sft) == 1


def test_every_stage_comes_after_what_it_needs() -> None:
    plan = plan_comparison(embedded(seeds="3"), RESOLVED)
    for place, digest in enumerate(plan.order):
        assert all(plan.order.index(need) < place for need in plan.stages[digest].needs.values())


def test_what_changes_a_digest_and_what_does_not() -> None:
    def sft_digest(spec: Any, resolved: Resolved = RESOLVED) -> str:
        plan = plan_comparison(spec, resolved)
        return next(c.stages[0] for c in plan.cells if c.arm == "sft")

    base = sft_digest(embedded())
    assert sft_digest(embedded(score=["preference"], seeds="1")) == base
    assert sft_digest(embedded(sets=("stages.dpo.beta=9",))) == base
    assert sft_digest(embedded(sets=("stages.sft.learning_rate=0.5",))) != base
    assert sft_digest(embedded(sets=("data.limit=10",))) != base
    steps = ("training.warmup_ratio=null", "training.warmup_steps=3")
    least = ("training.schedule=cosine_with_min_lr", "training.min_lr_rate=0.1")
    assert len({base, *(sft_digest(embedded(sets=sets)) for sets in (steps, least))}) == 3
    train = Reach(code={"harness/stages/train.py": "x"}, packages={"torch": "2"})
    for change in (
        {"files": {"prepare": {"model": "x"}}},
        {"reach": {"stages.train": train}},
        {"reach": {"methods.sft": train}},
        {"environment": {"OMP_NUM_THREADS": "2"}},
        {"device": "x"},
        {"driver": "x"},
    ):
        assert sft_digest(embedded(), Resolved(**{**RESOLVED.__dict__, **change})) != base
    for change in ({"reach": {"methods.dpo": train, "judges.openai": train}}, {"optional": {"vllm": "1"}}):
        assert sft_digest(embedded(), Resolved(**{**RESOLVED.__dict__, **change})) == base


def test_what_is_too_large_falls_back_for_every_arm_and_the_command_line_still_wins() -> None:
    path = find_comparison("ultrafeedback", model=None)
    full = load_comparison(path)
    small = load_comparison(path, Overrides(sets=("stages.dpo.learning_rate=1e-6",)), too_large=True)
    assert (full.fell_back, small.fell_back) == (False, True)
    configs = {s.stage_name: stage_config(small, s) for arm in small.arms for s in arm.stages}
    assert all(c.lora is not None and c.lora.r == 16 for c in configs.values())
    assert configs["sft"].learning_rate == 2e-4
    assert configs["dpo"].learning_rate == 1e-6
    assert stage_config(full, full.arms[0].stages[0]).lora is None
    assert plan_comparison(full, RESOLVED).id != plan_comparison(small, RESOLVED).id


def test_a_mistake_in_the_fallback_is_found_before_anything_runs() -> None:
    with pytest.raises(UserError, match=r"stages.orpo.learning_rate is -1"):
        load_comparison(
            find_comparison("ultrafeedback", model=None),
            Overrides(sets=("if_too_large.stages.orpo.learning_rate=-1",)),
        )


def test_a_setting_that_reaches_no_arm_is_refused() -> None:
    with pytest.raises(UserError, match=r"stages.dpo.reference has no effect"):
        embedded(arms=["sft_dpo_precomputed"], sets=("stages.dpo.reference=in_loop",))
    embedded(arms=["sft_dpo", "sft_dpo_precomputed"], sets=("stages.dpo.reference=in_loop",))
