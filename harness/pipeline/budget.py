"""From a budget's axis to optimizer steps: every arm gets what one arm uses. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from harness.errors import UserError, unknown_name
from harness.pipeline.spec import ArmSpec, ComparisonSpec
from harness.records import Plan, Prediction

QUANTITIES = {"tokens": "tokens_real", "flops": "flops", "seconds": "seconds"}


def needs_matching(spec: ComparisonSpec) -> bool:
    """Whether the budget's axis has to be turned into steps."""
    return spec.budget.axis in QUANTITIES


def matched(spec: ComparisonSpec, plan: Plan, predictions: Mapping[str, Prediction]) -> ComparisonSpec:
    """`spec` with every arm's steps set so that it uses what the arm `budget.of` uses.

    `predictions` maps the digest of each rehearsal of `plan` to what it foretold. Raises
    UserError where an arm's fixed costs alone are above the budget.
    """
    names = [arm.name for arm in spec.arms]
    if spec.budget.of not in names:
        raise unknown_name("arm", spec.budget.of, names, where="budget.of")
    by_stage = _by_stage(plan, predictions)
    total = sum(_total(p, spec.budget.axis) for p in by_stage[spec.budget.of].values())
    arms = [
        arm if arm.name == spec.budget.of else _fitted(arm, by_stage[arm.name], spec.budget.axis, total)
        for arm in spec.arms
    ]
    return spec.model_copy(update={"arms": arms})


def _by_stage(plan: Plan, predictions: Mapping[str, Prediction]) -> dict[str, dict[str, Prediction]]:
    """Arm -> stage, by its name in that arm -> what the rehearsal of its job foretold."""
    by_arm: dict[str, dict[str, Prediction]] = {}
    for digest in plan.rehearsals:
        config = plan.stages[digest].config
        for arm, stage in zip(config["arms"], config["stage_of_arm"], strict=True):
            by_arm.setdefault(arm, {})[stage] = predictions[digest]
    return by_arm


def _fitted(arm: ArmSpec, stages: Mapping[str, Prediction], axis: str, budget: float) -> ArmSpec:
    fixed = sum(_fixed(p, axis) for p in stages.values())
    variable = sum(_total(p, axis) - _fixed(p, axis) for p in stages.values())
    if budget <= fixed:
        raise UserError(
            f"arm {arm.name} spends {fixed:.3g} {axis} before its first step, and the budget is {budget:.3g}",
            where="budget",
            remedy="give another axis, or another arm by budget.of",
        )
    factor = (budget - fixed) / variable
    fitted_stages = []
    for stage in arm.stages:
        steps = max(1, round(stages[stage.stage_name].steps * factor))
        fitted_stages.append(stage.model_copy(update={"config": {**stage.config, "max_steps": steps}}))
    return arm.model_copy(update={"stages": fitted_stages})


def _total(prediction: Prediction, axis: str) -> float:
    return float(getattr(prediction, QUANTITIES[axis]))


def _fixed(prediction: Prediction, axis: str) -> float:
    """What does not grow with steps: loading, saving, and log-probs computed before training."""
    if axis == "seconds":
        parts = prediction.seconds_of_parts
        return float(sum(value for name, value in parts.items() if name != "train"))
    return float(prediction.flops_before) if axis == "flops" else 0.0
