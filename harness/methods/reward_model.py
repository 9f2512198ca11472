"""A reward model: a policy's body with one output in place of the vocabulary's (Bradley-Terry on pairs).

L = -log sigmoid(r(chosen) - r(rejected)), the mean over pairs (Ouyang et al. 2022, arXiv 2203.02155, eq. 1).
r is read at a sequence's last token.
"""

from __future__ import annotations

from harness.methods import sft
from harness.pipeline.training_spec import FullTrlConfig
from harness.records import Method

ABOUT = Method(
    title="reward model",
    cites=sft.ABOUT.cites,
    data="pairs",
    trains="reward",
    only="trl",
    reference=False,
    sequences_per_pair=2,
)


class Config(FullTrlConfig):
    """Nothing of its own."""
