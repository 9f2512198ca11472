"""Smaller micro-batches at the same effective batch, for all arms alike. Pure."""

from __future__ import annotations

from harness.pipeline.load import stage_config
from harness.pipeline.spec import ArmSpec, ComparisonSpec


def halved(spec: ComparisonSpec) -> ComparisonSpec | None:
    """`spec` with micro-batches of at most half the size in every stage; None where all hold one pair.

    A micro-batch divides the effective batch, so that its size is the largest divisor up to a half. The loss
    is divided by the totals of the effective batch, so that the gradient stays what it was.
    """
    arms = [_halved_arm(spec, arm) for arm in spec.arms]
    if arms == list(spec.arms):
        return None
    return spec.model_copy(update={"arms": arms, "halvings": spec.halvings + 1})


def _halved_arm(spec: ComparisonSpec, arm: ArmSpec) -> ArmSpec:
    stages = []
    for stage in arm.stages:
        config = stage_config(spec, stage)
        size = config.micro_batch_size
        if size > 1:
            smaller = next(
                n for n in range(size // 2, 0, -1) if config.batch_size % (n * config.devices) == 0
            )
            stage = stage.model_copy(update={"config": {**stage.config, "micro_batch_size": smaller}})
        stages.append(stage)
    return arm.model_copy(update={"stages": stages})
