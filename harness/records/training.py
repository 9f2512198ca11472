"""What a training stage, and its rehearsal, find out: for the parity audit, the forecast, the report.

A field that is None does not apply to the stage (no reference, no adapters, no rejected answers, no
NLL in the loss), or a record of version 1 lacks it.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Literal

from pydantic import Field

from harness.records.base import Record
from harness.records.device import DevicePeak
from harness.records.method import Method
from harness.records.tuning import EndedEarly


class Implementation(StrEnum):
    """Who computes a stage's loss: the one trainer that all methods share, or a trainer of its own."""

    MATCHED = "matched"
    STOCK = "trl"
    OWN = "own"


class ReferenceMode(StrEnum):
    """When the reference scores the pairs: in every step, or once before training."""

    IN_LOOP = "in_loop"
    PRECOMPUTED = "precomputed"


class ReferenceHolder(StrEnum):
    """Where the reference's weights stand while the policy trains."""

    COPY = "frozen_copy"
    ADAPTER = "frozen_adapter"
    BASE = "adapter_off"
    NOWHERE = "computed_before"


class LearningRateSource(StrEnum):
    """Whether the comparison set the learning rate or a library did."""

    CONFIG = "config"
    LIBRARY = "library default"


class HeadKind(StrEnum):
    """How log-probs are computed from hidden states."""

    CHUNKED = "chunked"
    FULL_LOGITS = "full logits"
    FUSED = "fused"


class ReferenceFacts(Record):
    """`weights` is a fingerprint, comparable with the policy's `weights_at_start`.

    `scored_in` is the stage (its digest) whose pass over the pairs was read and is charged here, None where
    this one scored them itself.
    """

    mode: ReferenceMode
    holder: ReferenceHolder
    weights: str | None = None
    scored_in: str | None = None


class HeadFacts(Record):
    """The log-prob head of a stage and the check of its first batch against the model's own logits.

    `difference` is the largest absolute difference of a log-prob, `tolerance` what was accepted;
    beyond it full logits were used and `reason` says so. `keeps_logits`: a chunked head does not make them
    again in the backward pass, since those of the largest micro-batch fit into one chunk.
    """

    kind: HeadKind
    chunk_positions: int | None = None
    keeps_logits: bool | None = None
    difference: float | None = None
    tolerance: float | None = None
    reason: str | None = None


class LayoutFacts(Record):
    """How micro-batches stand in memory: `flat`, all their tokens in one row without padding outside
    attention, or padded. `shared_prompt`: a pair's prompt stands there once. Both are settings of a
    comparison, so that they say so of methods too that learn from one answer.

    `difference` is the largest absolute difference of a log-prob between the two layouts on a sample, and
    `tolerance` what was accepted. `reason` says why nothing is flat, or why prompts are not shared.
    `gates_recomputed`: gated layers make one activation of three again in the backward.
    """

    flat: bool
    shared_prompt: bool
    gates_recomputed: bool = False
    difference: float | None = None
    tolerance: float | None = None
    reason: str | None = None


class BatchFacts(Record):
    """What the data loader yields in the first epoch. Digests are of token ids without padding.

    `tokens_real` are those of all sequences, `tokens_padded` those that were computed.
    """

    chosen_ids: str | None = None
    chosen_scored: str | None = None
    rejected_ids: str | None = None
    pairs: int | None = None
    stop_learned: float | None = None
    doubled_bos: int | None = None
    longest_chosen: int | None = None
    longest_rejected: int | None = None
    tokens_real: int | None = None
    tokens_padded: int | None = None
    padding: Literal["left", "right"] | None = None


class LoraFacts(Record):
    """The adapters that were trained; `dropout` is what acted on them."""

    r: int
    alpha: float
    dropout: float
    target_modules: str | list[str]
    modules_to_save: list[str] = Field(default_factory=list)


class UpdateFacts(Record):
    """How far the trained weights moved from start to end.

    `moved_share` of them changed at all; `relative_norm` is the norm of the change over that of the
    weights at the start. `lost_to_bfloat16` is the share of single updates that a weight held in
    bfloat16 would have rounded away, over `sampled_weights` weights at `sampled_steps` steps; None
    where weights are held in bfloat16, since what was lost is then not there to be counted.
    """

    moved_share: float
    relative_norm: float | None
    lost_to_bfloat16: float | None = None
    sampled_steps: int = 0
    sampled_weights: int = 0


class SequenceFacts(Record):
    """Sequences by the models' own hooks: in the steps, with a gradient, and once before them."""

    forwarded_per_pair: float
    with_gradient_per_pair: float | None = None
    once_per_pair: float | None = None


class ProbeFacts(Record):
    """How many held-out pairs the probes of a stage read, how often, and why so many; 0 for none."""

    pairs: int
    probes: int
    reason: str


class RewardFacts(Record):
    """What a learned reward is worth.

    Of a stage that trains one: it orders `ordered` of `pairs` held-out pairs as their labels do, and
    `ordered_as_graded` of the `graded_pairs` whose answers a programmatic judge grades apart. `weights` is a
    fingerprint, in a stage that reads a reward of the one that it read.
    """

    weights: str | None = None
    pairs: int | None = None
    ordered: float | None = None
    graded_pairs: int | None = None
    ordered_as_graded: float | None = None


class RankFacts(Record):
    """What one rank of a stage on several devices did and took.

    `seconds` are those of the headline's phases and `waited_seconds` the part of them that it waited for
    others at barriers and gathers; waiting within the reduction of gradients cannot be told from computing.
    """

    rank: int
    device: str | None = None
    micro_batches: int
    pairs: int
    tokens_real: int
    tokens_padded: int
    seconds: float | None = None
    waited_seconds: float | None = None
    peak_memory_bytes: float | None = None
    joules: float | None = None


class ParallelFacts(Record):
    """How several devices shared a stage.

    `void_micro_batches` without weight were run where an epoch's last step left a rank without one, and took
    `void_flops`, which are part of no other figure.
    """

    devices: int
    how: str
    ranks: list[RankFacts]
    void_micro_batches: int = 0
    void_flops: int = 0


class TrainFacts(Record):
    """Settings as the trainer has them, data as its loader yields it, weights as they are.

    `router_loss` is the coefficient of the experts' load-balancing loss, None for a dense model;
    `ended_early` is None for a stage that no pruner ended, `parallel` for one on a single device.
    """

    kind: Literal["train"] = "train"
    about: Method | None = None
    implementation: Implementation | None = None
    dtype: str | None = None
    precision: str | None = None
    attention: str | None = None
    optimizer: str | None = None
    schedule: str | None = None
    learning_rate: float | None = None
    learning_rate_source: LearningRateSource | None = None
    epochs: float | None = None
    max_steps: int | None = None
    effective_batch_pairs: int | None = None
    micro_batch_pairs: int | None = None
    gradient_checkpointing: bool | None = None
    tuning: Literal["full", "lora"] | None = None
    lora: LoraFacts | None = None
    quantization: str | None = None
    max_length: int | None = None
    tokenizer_digest: str | None = None
    chat_template_digest: str | None = None
    trainable_parameters: int | None = None
    parameters: int | None = None
    nll_scope: str | None = None
    router_loss: float | None = None
    head: HeadFacts | None = None
    layout: LayoutFacts | None = None
    reference: ReferenceFacts | None = None
    ids_in_order: str | None = None
    batches: BatchFacts | None = None
    weights_at_start: str | None = None
    weights_at_end: str | None = None
    seed: int | None = None
    first_loss: float | None = None
    probe_first: dict[str, float] | None = None
    probe_last: dict[str, float] | None = None
    probes: ProbeFacts | None = None
    reward: RewardFacts | None = None
    sequences: SequenceFacts | None = None
    updates: UpdateFacts | None = None
    flops_unknown_ops: list[str] = Field(default_factory=list)
    flops_counted_by: str | None = None
    ended_early: EndedEarly | None = None
    parallel: ParallelFacts | None = None


class TimedSteps(Record):
    """The micro-batches that a rehearsal timed, in order, and what each step took around them."""

    micro_batch_seconds: list[float]
    micro_batch_flops: list[int]
    around_seconds: list[float]


class Prediction(Record):
    """What a rehearsal foretells of the whole stage: seconds, bytes, FLOPs, tokens, pairs.

    `seconds_low` and `seconds_high` bound the 95% interval of the timed steps' spread;
    `flops_before` are those of a reference pass before the first step. What comes from formulas is None
    where the model has none, and `no_formula` says why. Seconds are those of a run on all of its `devices`,
    bytes those of the fullest of them.
    """

    steps: int
    pairs: int
    tokens_real: int
    tokens_padded: int
    flops: int
    flops_before: int
    reference_flops: int | None = None
    flops_theory: float | None
    body_flops: float | None
    useful_flops: float | None
    no_formula: str | None = None
    seconds: float
    seconds_low: float
    seconds_high: float
    seconds_of_parts: dict[str, float]
    timed_micro_batches: int
    timed: TimedSteps
    checkpoint_bytes: int
    flops_unknown_ops: list[str] = Field(default_factory=list)
    flops_counted_by: str | None = None
    peak_memory_bytes: int | None = None
    host_growth_bytes: int | None = None
    device_bytes: int | None = None
    devices: int = 1


class RehearseFacts(Record):
    """A few steps of a stage: what it would record, and what it foretells.

    Both are None where the steps did not fit the device's memory. `steps` ran, and all of the rehearsal
    but its start-up took `seconds`; a record without them is older. `peak` stands in old records alone:
    each rehearsal measured one, and arms were held against different ones.
    """

    kind: Literal["rehearse"] = "rehearse"
    stage: TrainFacts | None = None
    prediction: Prediction | None = None
    peak: DevicePeak | None = None
    out_of_memory: bool = False
    device_bytes: int | None = None
    steps: int | None = None
    seconds: float | None = None

    @property
    def share_of_foretold(self) -> float | None:
        """What the rehearsal took as a share of one run of its stage."""
        if self.seconds is None or self.prediction is None or not self.prediction.seconds:
            return None
        return self.seconds / self.prediction.seconds
