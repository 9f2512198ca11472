"""What a training method is: one file with `Config`, `ABOUT` and `objective`.

All such methods run through one trainer (`harness.training`), so that what differs between them is
the loss and nothing else. A method whose nature is another loop brings `build` in the objective's
place and is labelled in the report. Names are listed without importing any method, and a method's
file imports torch inside its functions, so that settings can be checked without it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol, cast

from harness import registry
from harness.pipeline.training_spec import ReferenceConfig, TrainConfig
from harness.records import Method

if TYPE_CHECKING:
    import torch


class MethodModule(Protocol):
    """A method's module. One of `objective` and `build` is there."""

    ABOUT: Method
    Config: type[TrainConfig]
    objective: Callable[[PairLogProbs, TrainConfig], Objective]


def load_method(name: str, *, where: str | None = None) -> MethodModule:
    """The method called `name`; raises UserError for an unknown one."""
    return cast(MethodModule, registry.load("methods", name, where=where))


def about(method: MethodModule, config: TrainConfig) -> Method:
    """What the method is with these settings: its `ABOUT`, or what an `about(config)` of its own says.

    Against a uniform reference (`reference: none`) no reference is read.
    """
    own: Callable[[TrainConfig], Method] | None = getattr(method, "about", None)
    said = method.ABOUT if own is None else own(config)
    return said.model_copy(update={"reference": False}) if uniform_reference(config) else said


def uniform_reference(config: TrainConfig) -> bool:
    """Whether the loss reads a reference to which all answers are alike: a log-prob of 0 everywhere."""
    return isinstance(config, ReferenceConfig) and config.reference == "none"


def nll_scope(config: TrainConfig) -> str | None:
    """Which tokens of the chosen sequence the loss's NLL is over; None where it holds none."""
    scope: str | None = getattr(config, "nll_scope", None)
    return None if scope == "none" else scope


@dataclass(frozen=True)
class SideLogProbs:
    """Log-probs of the chosen, or of the rejected, sequences of a micro-batch.

    All are of shape (pairs, length - 1): entry t speaks of token t + 1. `log_probs` is float32 and 0
    where nothing is scored. `response` marks the answer's tokens, `nll` those that an NLL counts
    (the answer's, or the prompt's too). `reference` holds a frozen model's log-probs of the same
    tokens, without a gradient, for methods that have one.
    """

    log_probs: torch.Tensor
    response: torch.Tensor
    nll: torch.Tensor
    reference: torch.Tensor | None = None

    def sums(self) -> torch.Tensor:
        """Log-prob of each answer: (pairs,)."""
        return (self.log_probs * self.response).sum(dim=1)

    def means(self) -> torch.Tensor:
        """Mean log-prob per token of each answer: (pairs,)."""
        return self.sums() / self.tokens()

    def tokens(self) -> torch.Tensor:
        """Tokens of each answer, at least 1: (pairs,)."""
        return self.response.sum(dim=1).clamp(min=1)

    def reference_sums(self) -> torch.Tensor:
        """The reference's log-prob of each answer: (pairs,)."""
        assert self.reference is not None, "this method's ABOUT declares no reference"
        return (self.reference * self.response).sum(dim=1)

    def log_ratios(self) -> torch.Tensor:
        """Log-prob of each answer less the reference's: (pairs,)."""
        return self.sums() - self.reference_sums()

    def mean_log_ratios(self) -> torch.Tensor:
        """The same per token of each answer: (pairs,)."""
        return self.log_ratios() / self.tokens()

    def negative_log_likelihood(self) -> torch.Tensor:
        """-log p of every token that an NLL counts, 0 elsewhere: (pairs, length - 1)."""
        return -self.log_probs * self.nll


@dataclass(frozen=True)
class PairLogProbs:
    """A micro-batch as an objective sees it; `rejected` is None for methods that learn from chosen."""

    chosen: SideLogProbs
    rejected: SideLogProbs | None = None

    @property
    def sides(self) -> tuple[SideLogProbs, SideLogProbs]:
        """Chosen and rejected, of a method whose data are pairs."""
        assert self.rejected is not None, "this method's ABOUT declares data='chosen'"
        return self.chosen, self.rejected


@dataclass(frozen=True)
class Objective:
    """A micro-batch's terms of the loss by name, before they are divided.

    The trainer sums each over the effective batch and divides `per_token` terms, of any shape, by
    the number of tokens that the NLL counts there and `per_pair` terms, (pairs,), by its number of
    pairs; the loss is their sum. Micro-batches of any size therefore give one gradient. `metrics`
    are logged beside those that all methods share: (pairs,) each.
    """

    per_token: Mapping[str, torch.Tensor] = field(default_factory=dict)
    per_pair: Mapping[str, torch.Tensor] = field(default_factory=dict)
    metrics: Mapping[str, torch.Tensor] = field(default_factory=dict)


def reward_metrics(margin: torch.Tensor) -> dict[str, torch.Tensor]:
    """What methods with implicit rewards log of chosen less rejected: (pairs,) each."""
    return {"reward_margin": margin, "reward_accuracy": (margin > 0).float()}


def log1mexp(x: torch.Tensor) -> torch.Tensor:
    """log(1 - exp(x)) for x <= 0 in at least float32, finite at 0 (Maechler 2012, eq. 7)."""
    import torch

    x = _at_least_float32(x).clamp(max=-1e-6)
    near = x > -0.6931472
    safe_near = torch.where(near, x, torch.full_like(x, -0.5))
    safe_far = torch.where(near, torch.full_like(x, -1.0), x)
    return torch.where(near, torch.log(-torch.expm1(safe_near)), torch.log1p(-torch.exp(safe_far)))


def log_odds(mean_chosen: torch.Tensor, mean_rejected: torch.Tensor) -> torch.Tensor:
    """log of the odds ratio, from mean log-probs per token (Hong et al. 2024, eq. 4 and 7)."""
    difference = _at_least_float32(mean_chosen) - _at_least_float32(mean_rejected)
    return difference - (log1mexp(mean_chosen) - log1mexp(mean_rejected))


def _at_least_float32(x: torch.Tensor) -> torch.Tensor:
    import torch

    return x.to(torch.promote_types(x.dtype, torch.float32))
