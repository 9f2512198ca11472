"""The frozen model that a policy is compared with: always the model that its stage starts from."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol

import torch
from trl.trainer.utils import use_adapter

from harness.errors import UserError
from harness.generate.flat_attention import use_flat_attention
from harness.generate.head import attach
from harness.generate.precision import round_as_autocast_does
from harness.measure.ranks import Ranks
from harness.measure.window import AUDIT
from harness.pipeline.training_spec import ReferenceConfig
from harness.records import ReferenceFacts, ReferenceHolder, ReferenceMode
from harness.training.fingerprint import fingerprint_weights
from harness.training.inputs import model_inputs
from harness.training.job import TrainJob
from harness.training.load import CONTINUED, FRESH, Policy, load_base, precision_of

REFERENCE_ADAPTER = "ref"
TRAIN, VALIDATION = "train", "validation"
"""Splits whose rows have indices of their own, both from 0."""


class Scorer(Protocol):
    """Weights that score a batch: log-probs at its positions."""

    holder: ReferenceHolder
    through_adapters: bool

    def __call__(self, batch: dict[str, Any]) -> torch.Tensor:
        """(positions,) without a gradient."""

    def fingerprint(self) -> str:
        """A digest of the weights, comparable with the policy's."""


class FrozenCopy:
    """A second model in memory, never trained."""

    holder = ReferenceHolder.COPY
    through_adapters = False

    def __init__(self, model: Any, sample: torch.Tensor, job: TrainJob, flat: bool) -> None:
        self.model = model.eval().requires_grad_(False)
        with job.window.phase(AUDIT):
            self._fingerprint = fingerprint_weights(self.model)
        if precision_of(job.config).autocasts:
            round_as_autocast_does(self.model)
        with job.window.phase(AUDIT):
            attach(self.model, sample)
        if flat:
            use_flat_attention(self.model)

    def __call__(self, batch: dict[str, Any]) -> torch.Tensor:
        return forward(self.model, batch)

    def fingerprint(self) -> str:
        """Of the weights as they were loaded: rounding them changed no product."""
        return self._fingerprint


class OtherAdapter:
    """The policy's own weights with another adapter, or (None) with its adapter switched off."""

    def __init__(self, policy: Any, adapter: str | None) -> None:
        self._policy, self._adapter = policy, adapter
        self.holder = ReferenceHolder.BASE if adapter is None else ReferenceHolder.ADAPTER
        self.through_adapters = adapter is not None

    def __call__(self, batch: dict[str, Any]) -> torch.Tensor:
        with use_adapter(self._policy, self._adapter):
            return forward(self._policy, batch)

    def fingerprint(self) -> str:
        return fingerprint_beside(self._policy, self._adapter)


class PolicyBefore:
    """The policy itself before its first step; it scores all pairs once and is then asked no more."""

    holder = ReferenceHolder.NOWHERE

    def __init__(self, policy: Policy) -> None:
        self._policy, self.through_adapters = policy.model, policy.continues_adapters

    def __call__(self, batch: dict[str, Any]) -> torch.Tensor:
        return forward(self._policy, batch)

    def fingerprint(self) -> str:
        return fingerprint_weights(self._policy)


def forward(model: Any, batch: dict[str, Any]) -> torch.Tensor:
    """Log-probs at a batch's positions without gradient or dropout: (positions,)."""
    was_training = model.training
    if was_training:
        model.eval()
    with torch.no_grad():
        result: torch.Tensor = model(**model_inputs(batch))
    if was_training:
        model.train()
    return result


class Reference:
    """A scorer and when it scores: in every step, or once before training into `_known`.

    `scored_in` is the stage that did so where this one did not.
    """

    def __init__(self, scorer: Scorer, mode: ReferenceMode) -> None:
        self.scorer, self.mode = scorer, mode
        self._known: dict[tuple[str, int], list[torch.Tensor]] = {}
        self._weights: str | None = None
        self.scored_in: str | None = None

    def facts(self) -> ReferenceFacts:
        """Recorded in the run; `remember_weights` was called before training."""
        once = self.mode is ReferenceMode.PRECOMPUTED
        holder = ReferenceHolder.NOWHERE if once else self.scorer.holder
        return ReferenceFacts(mode=self.mode, holder=holder, weights=self._weights, scored_in=self.scored_in)

    def remember_weights(self) -> None:
        """Take the fingerprint while the weights are those that the stage starts from."""
        self._weights = self.scorer.fingerprint()

    @property
    def weights(self) -> str:
        """That fingerprint."""
        assert self._weights is not None, "nobody remembered the weights"
        return self._weights

    def known(self, split: str) -> dict[int, list[torch.Tensor]]:
        """Log-probs of every pair of a split that is scored: by index, of each of its sequences."""
        return {index: parts for (of, index), parts in self._known.items() if of == split}

    def know(self, found: dict[int, list[torch.Tensor]], split: str) -> None:
        """Take over what was scored of a split."""
        self._known |= {(split, index): parts for index, parts in found.items()}

    def precompute(self, batches: Iterator[dict[str, Any]], split: str) -> None:
        """Score batches of a split and keep each sequence's log-probs on the host."""
        for batch in batches:
            values = self.scorer(batch).cpu()
            parts = values.split(_scored_per_sequence(batch))
            pairs = len(batch["indices"])
            for place, index in enumerate(batch["indices"]):
                self._known[split, index] = list(parts[place::pairs])

    def share(self, ranks: Ranks, split: str) -> None:
        """Know what the other ranks scored of a split too; all of them have to ask."""
        for found in ranks.told(self.known(split)):
            self.know(found, split)

    def __call__(self, batch: dict[str, Any], split: str) -> torch.Tensor:
        """Log-probs at the positions of a batch of `split`: (positions,)."""
        if self.mode is ReferenceMode.IN_LOOP:
            return self.scorer(batch)
        if not batch["indices"]:
            return torch.zeros(len(batch["positions"]), device=batch["positions"].device)
        sides = zip(*(self._known[split, index] for index in batch["indices"]), strict=True)
        return torch.cat([part for side in sides for part in side]).to(batch["positions"].device)


def make_reference(
    job: TrainJob, policy: Policy, sample: torch.Tensor, watch: Callable[[Any], None], flat: bool
) -> Reference:
    """The reference that `job` names; `watch` is given a model of its own, where there is one. `flat`: the
    policy takes flat rows, and so does what it is compared with."""
    config = job.config
    assert isinstance(config, ReferenceConfig), f"{job.method} declares a reference and its Config has none"
    if config.reference == "adapter_off" and policy.adapters != FRESH:
        raise UserError(
            f"{job.method}'s reference is adapter_off, but without its adapter this policy is not the "
            "model that the stage starts from",
            remedy="use in_loop or precomputed, or start LoRA from full weights",
        )
    once = config.reference == "precomputed"
    mode = ReferenceMode.PRECOMPUTED if once else ReferenceMode.IN_LOOP
    if policy.adapters == FRESH:
        return Reference(OtherAdapter(policy.model, None), mode)
    if once:
        return Reference(PolicyBefore(policy), mode)
    if policy.adapters == CONTINUED:
        add_frozen_adapter(policy.model)
        return Reference(OtherAdapter(policy.model, REFERENCE_ADAPTER), mode)
    copy = FrozenCopy(load_base(job.model, job.revision, config, own_code=job.own_code), sample, job, flat)
    watch(copy.model)
    return Reference(copy, mode)


def add_frozen_adapter(model: Any) -> None:
    """Keep the adapter as it is now under a name of its own, beside the one that trains."""
    model.add_adapter(REFERENCE_ADAPTER, model.peft_config["default"])
    weights = dict(model.named_parameters())
    with torch.no_grad():
        for name, parameter in weights.items():
            if f".{REFERENCE_ADAPTER}." in name:
                parameter.copy_(weights[name.replace(f".{REFERENCE_ADAPTER}.", ".default.")])
                parameter.requires_grad_(False)


def fingerprint_beside(policy: Any, adapter: str | None) -> str:
    """A digest of a policy's weights with another adapter, or with none, comparable with its own.

    As long as every B matrix of a fresh adapter is zero, the adapted policy is the same function as
    the model below it.
    """
    if adapter is None and _untouched(policy):
        return fingerprint_weights(policy)
    return fingerprint_weights(policy, adapter=adapter)


def _untouched(model: Any) -> bool:
    return all(not bool(p.detach().any()) for name, p in model.named_parameters() if "lora_B.default" in name)


def _scored_per_sequence(batch: dict[str, Any]) -> list[int]:
    sequences, width = batch["response"].shape
    rows = batch["places"].cpu() // (width + 1)
    counts: Sequence[int] = torch.bincount(rows, minlength=sequences).tolist()
    return list(counts)
