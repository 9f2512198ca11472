"""ORPO by its formula in float64, with every choice that implementations make differently as a setting.

No padding and no batch: each sequence goes through the model alone, so that nothing can be masked wrongly.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch.nn.functional import logsigmoid

from perf.which_orpo.world import EOS, LENGTH, Pair, micro_batches


@dataclass(frozen=True)
class Choices:
    """The defaults are this project's.

    `scope`: which tokens the NLL is over. `averaging`: it is divided by the tokens of the whole batch, or is
    the mean over micro-batches, or over pairs, of each one's own. `turn_ends`: the NLL counts the tokens that
    end a turn. `first_padding`: the odds ratio counts the first padding token after an answer. `before` and
    `after`: tokens that an own tokenisation puts around a pair's sequences.
    """

    scope: Literal["response", "prompt+response"] = "response"
    averaging: Literal["batch", "micro-batch", "pair"] = "batch"
    turn_ends: bool = True
    first_padding: bool = False
    before: tuple[int, ...] = ()
    after: tuple[int, ...] = ()


@dataclass(frozen=True)
class _Parts:
    """Of a pair: the sum and the number of its NLL, and the odds ratio's term."""

    nll: torch.Tensor
    tokens: int
    odds: torch.Tensor


def orpo(model: Any, pairs: Sequence[Pair], weight: float, choices: Choices) -> torch.Tensor:
    """The loss of one optimizer step over `pairs`."""
    batches = [[_parts(model, pair, choices) for pair in batch] for batch in micro_batches(pairs)]
    whole = [parts for batch in batches for parts in batch]
    groups = {"batch": [whole], "micro-batch": batches, "pair": [[parts] for parts in whole]}
    nll = torch.stack([_mean_nll(group) for group in groups[choices.averaging]]).mean()
    return nll + weight * torch.stack([parts.odds for parts in whole]).mean()


def _mean_nll(parts: Sequence[_Parts]) -> torch.Tensor:
    return torch.stack([one.nll for one in parts]).sum() / sum(one.tokens for one in parts)


def _parts(model: Any, pair: Pair, choices: Choices) -> _Parts:
    prompt = [*choices.before, *pair.prompt]
    (chosen, nll), (rejected, _) = (
        _log_probs(model, prompt, [*answer, *choices.after], choices)
        for answer in (pair.chosen, pair.rejected)
    )
    return _Parts(-nll.sum(), len(nll), -logsigmoid(log_odds(chosen.mean(), rejected.mean())))


def _log_probs(
    model: Any, prompt: list[int], answer: list[int], choices: Choices
) -> tuple[torch.Tensor, torch.Tensor]:
    """Log-probs that the odds ratio's mean is over, and those that the NLL sums: (tokens,) each."""
    real = [*prompt, *answer]
    beyond = [EOS] if choices.first_padding and len(real) < LENGTH else []
    ids = torch.tensor([[*real, *beyond]])
    log_probs = model(input_ids=ids).logits[0, :-1].log_softmax(dim=-1)
    log_probs = log_probs.gather(1, ids[0, 1:, None]).squeeze(1)
    start = len(prompt) - 1
    first = start if choices.scope == "response" else 0
    counted = [
        place for place in range(first, len(real) - 1) if choices.turn_ends or int(ids[0, place + 1]) != EOS
    ]
    return log_probs[start:], log_probs[counted]


def log_odds(chosen: torch.Tensor, rejected: torch.Tensor) -> torch.Tensor:
    """Equation 5 of the paper, in logarithms."""
    return (chosen - rejected) - (torch.log(-torch.expm1(chosen)) - torch.log(-torch.expm1(rejected)))


def loss_and_gradient(
    model: Any, pairs: Sequence[Pair], weight: float, choices: Choices
) -> tuple[float, torch.Tensor]:
    """The loss and all weights' gradients, one after the other."""
    loss = orpo(model, pairs, weight, choices)
    gradients = torch.autograd.grad(loss, list(model.parameters()))
    return float(loss.detach()), torch.cat([gradient.flatten() for gradient in gradients])
