"""REINFORCE leave-one-out against a learned reward (Ahmadian et al. 2024, arXiv 2402.14740, section 3.2).

The policy answers each prompt k times. An answer's advantage is its reward, less beta times the KL term, less
the mean of the other k - 1 answers' to the same prompt.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, PositiveInt

from harness.pipeline.spec_model import Name, NonNegative, Positive
from harness.pipeline.training_spec import FullTrlConfig
from harness.records import Method
from harness.records.citation import arxiv

ABOUT = Method(
    title="RLOO",
    cites=(
        arxiv(
            "ahmadian2024",
            author="Ahmadian, Arash and others",
            title="Back to Basics: Revisiting {REINFORCE} Style Optimization for Learning from Human "
            "Feedback in {LLMs}",
            year="2024",
            number="2402.14740",
        ),
    ),
    data="prompts",
    only="trl",
    reference=True,
    sequences_per_pair=2,
)


class Config(FullTrlConfig):
    """`reward_model` names the stage of the arm that trains the reward. Each of the training prompts is
    answered `num_generations` times, by up to `max_completion_length` tokens at `temperature`. `beta` weighs
    the KL term towards the model that the stage starts from; with 0 there is no reference. `batch_size`
    counts prompts."""

    reward_model: Name = "reward_model"
    num_generations: Annotated[int, Field(ge=2)] = 4
    max_completion_length: PositiveInt = 256
    temperature: Positive = 1.0
    beta: NonNegative = 0.05

    def reads(self) -> dict[str, str]:
        return {"reward_model": self.reward_model}


def about(config: Config) -> Method:
    """As many sequences a prompt as it is answered, each scored once before the update; without a KL term no
    reference is read."""
    answers = config.num_generations
    changed = {"sequences_per_pair": answers, "forwards_per_pair": answers, "reference": config.beta > 0}
    return ABOUT.model_copy(update=changed)
