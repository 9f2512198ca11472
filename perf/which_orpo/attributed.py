"""Every difference of an implementation from this project's ORPO, one choice at a time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from perf.which_orpo.asked import Answer, Asked
from perf.which_orpo.formula import Choices, loss_and_gradient
from perf.which_orpo.world import BOS, EOS, NEWLINE, WEIGHT, read_world


@dataclass(frozen=True)
class Change:
    """One choice that is made differently: its kind, in words, and as settings of the formula."""

    kind: str
    words: str
    choices: Mapping[str, Any]


PROMPT_TOO = Change("scope", "the NLL scores the prompt too", {"scope": "prompt+response"})
BY_MICRO_BATCH = Change("averaging", "the NLL is a mean of micro-batches", {"averaging": "micro-batch"})
BY_PAIR = Change("averaging", "the NLL is a mean of pairs", {"averaging": "pair"})
NO_TURN_ENDS = Change(
    "masking", "the NLL leaves out the tokens that end turns, which are the padding", {"turn_ends": False}
)
PADDING = Change(
    "masking", "the odds ratio counts the first padding token after an answer", {"first_padding": True}
)
AROUND = Change(
    "extra tokens",
    "a BOS before, and EOS again after the template's newline",
    {"before": (BOS,), "after": (NEWLINE, EOS)},
)
IMPLEMENTATIONS: Mapping[str, tuple[Asked, Sequence[Change]]] = {
    "ours": (Asked("this project", "ours"), ()),
    "authors": (
        Asked("the authors' code", "authors"),
        (PROMPT_TOO, BY_MICRO_BATCH, NO_TURN_ENDS, PADDING),
    ),
    "trl": (Asked("TRL", "stock_trl"), (PROMPT_TOO, BY_MICRO_BATCH)),
    "trl_texts": (
        Asked("TRL, from texts", "stock_trl", {"FROM_TEXTS": "1"}),
        (PROMPT_TOO, BY_MICRO_BATCH, AROUND),
    ),
    "liger": (Asked("Liger's trainer", "liger"), (PROMPT_TOO, BY_MICRO_BATCH)),
    "liger_loss": (Asked("Liger's loss alone", "liger", {"OWN_DEFAULTS": "1"}), (BY_MICRO_BATCH,)),
    "llamafactory": (Asked("LLaMA-Factory", "llamafactory"), (BY_PAIR,)),
}


@dataclass(frozen=True)
class Step:
    """The formula after one more choice; `moved` is how far that took the gradient, as a share of ours."""

    kind: str
    words: str
    loss: float
    moved: float


@dataclass(frozen=True)
class Attributed:
    """The way from this project's loss to an implementation's, and what is left at its end.

    `loss_left` is absolute, `gradient_left` a share of our gradient; `apart` is the whole way at once.
    """

    steps: list[Step]
    loss_left: float
    gradient_left: float
    apart: float


def attribute(world: Path, answer: Answer, changes: Sequence[Change]) -> Attributed:
    """Walk from our choices to the implementation's and compare there."""
    model, pairs = read_world(world)
    choices = Choices()
    loss, gradient = loss_and_gradient(model, pairs, WEIGHT, choices)
    ours, steps = gradient, list[Step]()
    for change in changes:
        before = gradient
        choices = replace(choices, **change.choices)
        loss, gradient = loss_and_gradient(model, pairs, WEIGHT, choices)
        steps.append(Step(change.kind, change.words, loss, share(gradient - before, ours)))
    return Attributed(
        steps,
        abs(answer.loss - loss),
        share(answer.gradient - gradient, ours),
        share(answer.gradient - ours, ours),
    )


def share(part: torch.Tensor, whole: torch.Tensor) -> float:
    """The length of one gradient by that of another."""
    return float(part.norm() / whole.norm())
