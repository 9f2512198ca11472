"""Conservative DPO: DPO's loss with smoothed labels (Mitchell 2023, "A note on DPO with noisy
preferences")."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from harness.methods import Objective, PairLogProbs, dpo, reward_metrics
from harness.pipeline.training_spec import ReferenceConfig
from harness.records import Method

ABOUT = Method(
    title="cDPO",
    cites=dpo.ABOUT.cites,
    data="pairs",
    reference=True,
    sequences_per_pair=2,
)


class Config(ReferenceConfig):
    """`beta` is DPO's, `label_smoothing` the probability that a label is wrong (epsilon in the note)."""

    beta: Annotated[float, Field(gt=0)]
    label_smoothing: Annotated[float, Field(ge=0, lt=0.5)]


def objective(batch: PairLogProbs, config: Config) -> Objective:
    """(1 - e) of DPO's loss and e of that of the flipped pair; least at a margin of log((1 - e) / e)."""
    from torch.nn.functional import logsigmoid

    chosen, rejected = batch.sides
    margin, flips = config.beta * (chosen.log_ratios() - rejected.log_ratios()), config.label_smoothing
    loss = -(1 - flips) * logsigmoid(margin) - flips * logsigmoid(-margin)
    return Objective(per_pair={"preference": loss}, metrics=reward_metrics(margin))
