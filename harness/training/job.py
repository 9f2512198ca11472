"""What a training stage is asked, what it hands back, and what it needs of a trainer."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from harness.measure.flops import Bucket
from harness.measure.ranks import ALONE, Ranks
from harness.pipeline.training_spec import TrainConfig
from harness.records import (
    EndRule,
    HeadFacts,
    Implementation,
    LayoutFacts,
    Measurement,
    PrepareFacts,
    ReferenceFacts,
    RewardFacts,
    StageResult,
    TrainFacts,
)
from harness.training.shape import Shape, Side, Walk
from harness.training.trace import Trace

Apart = Mapping[str, Mapping[int, int]]

if TYPE_CHECKING:
    from harness.measure.theory import HeadCost
    from harness.measure.window import Window


def _nothing() -> None:
    """What happens at the end of the measured work where no meter runs."""


@dataclass(frozen=True)
class ReferenceCache:
    """Where log-probs of references are kept for the stages of a run root, and what those of one stage depend
    on beside its settings, its pairs and this package.

    `digest`, `name` and `attempt` are the stage's own. `origin` says whose weights it starts from, `repeat`
    which training of its cell it is, `depends_on` packages, variables and device. `finished` gives the result
    of another stage, None where it has none. `anew`: the stage is to measure all of its work itself.
    """

    folder: Path
    digest: str
    name: str
    attempt: str
    origin: str
    repeat: int
    depends_on: str
    finished: Callable[[str], StageResult | None]
    anew: bool = False


@dataclass(frozen=True)
class TrainJob:
    """One training stage.

    `model` is a folder (full weights or an adapter) or a hub name; `prepared` the prepare stage's
    folder and `facts` what it found out; `out` receives `model/` and `steps.jsonl`. `trained` is
    called when the final weights are saved, before FLOPs are counted. `rows` replaces every epoch's
    order of the training data by these rows. `checkpoint_seconds` is how often a checkpoint is written to go
    on from, None for never. FLOP counts of single steps are kept in `counts_folder`, where there is one, for
    stages whose code beyond harness, packages and device are the same (`counts_depend_on`); log-probs of a
    reference that scores once in `references`, where there is one. `reward_model` is the folder of the reward
    that the settings name; a rehearsal has none. `ends` is what a pruner ends the stage by.
    """

    method: str
    config: TrainConfig
    seed: int
    prepared: Path
    facts: PrepareFacts
    model: str
    revision: str | None
    out: Path
    window: Window
    report: Callable[[int, int, dict[str, float]], None]
    sft_data: Path | None = None
    trained: Callable[[], None] = _nothing
    rows: tuple[int, ...] | None = None
    checkpoint_seconds: float | None = None
    counts_folder: Path | None = None
    counts_depend_on: str = ""
    references: ReferenceCache | None = None
    reward_model: str | None = None
    ends: EndRule | None = None
    ranks: Ranks = ALONE

    @property
    def own_code(self) -> bool:
        """Whether code that the base model brings along may run."""
        return self.facts.trust_remote_code

    @property
    def train_file(self) -> Path:
        """The pairs to train on, or the arm's own SFT data."""
        return self.sft_data or self.prepared / "train.parquet"


@dataclass(frozen=True)
class TrainOutcome:
    """What a stage found; seconds and memory are measured around it.

    `kept_seconds` is what a checkpoint kept of interrupted attempts."""

    facts: TrainFacts
    ledger: list[Measurement] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    kept_seconds: float = 0.0


class StageTrainer(Protocol):
    """A trainer as the rest of this room sees it: the matched one, stock TRL's, a method's own.

    `trace` is filled while it trains. `head_cost` says what its head costs by formula,
    `forwards_besides` how many batches of a micro-batch's size go forward alone in a step, `needs_values` why
    its steps cannot be counted by shapes alone, `no_formula` why no formula knows what they cost.
    """

    job: TrainJob
    trace: Trace
    implementation: Implementation
    nll_scope: str | None
    head_cost: HeadCost
    forwards_besides: int
    needs_values: str | None
    no_formula: str | None
    model: Any
    args: Any
    state: Any
    accelerator: Any
    processing_class: Any

    def train(self, *, resume_from_checkpoint: str | None) -> Any:
        """Train, from a checkpoint where one is named."""

    def add_callback(self, callback: Any) -> None:
        """As in transformers."""

    def remove_callback(self, callback: Any) -> None:
        """As in transformers."""

    def prepare_reference(self) -> None:
        """Score the pairs before training where the reference does; on the reference's clock."""

    def start_fingerprint(self) -> str:
        """A digest of the weights that the stage starts from, before it adds any of its own."""

    def micro_batch_pairs(self) -> int:
        """Pairs, or prompts, in a micro-batch, as the trainer has it."""

    def course(self, config: TrainConfig, stop_token_ids: list[int]) -> Walk:
        """What a run by `config` computes, and what its first epoch holds."""

    def apart(self, steps: Sequence[int]) -> Apart:
        """FLOPs of what is no micro-batch's, by part and by the micro-batch that it came before; `steps` are
        the micro-batches of each optimizer step."""

    def reward_facts(self, held_out: Path) -> RewardFacts | None:
        """What the reward that the stage trains or reads is worth, on held-out pairs where it trains one."""

    def head_facts(self) -> HeadFacts | None:
        """How log-probs are made."""

    def layout_facts(self) -> LayoutFacts:
        """How micro-batches stand in memory."""

    def router_loss(self) -> float | None:
        """The coefficient of the experts' load-balancing loss as it is added; None for a dense model."""

    def reference_facts(self) -> ReferenceFacts | None:
        """What the policy is compared with, if anything."""

    def whole_epochs(self) -> Any:
        """The loader of an epoch over all of the data, whatever rows the job names."""

    def shape_of(self, batch: Any) -> Shape:
        """A batch of the loader in numbers."""

    def sides(self, batch: Any) -> list[Side]:
        """Chosen and, where there are any, rejected sequences of a batch of the loader."""

    def reference_buckets(self, *, whole: bool) -> list[Bucket]:
        """Batches that a reference scored before training; of the whole data or as it ran."""

    def scores_reference_in_loop(self) -> bool:
        """Whether each micro-batch is scored by a reference too."""

    def reference_through_adapters(self) -> bool:
        """Whether the reference's forward goes through adapters, which costs their products too."""

    @property
    def shards(self) -> bool:
        """Whether each rank has a share of the weights while it trains."""

    def gather_weights(self) -> dict[str, Any] | None:
        """All trained weights on rank 0's host, where each rank has a share of them; else None."""

    def be_whole_again(self, weights: dict[str, Any]) -> None:
        """After training, on rank 0: a model that is not sharded, with the trained weights."""

    def step_once(self, bucket: Bucket) -> None:
        """Forward and backward of one made micro-batch, for counting."""

    def reference_once(self, bucket: Bucket) -> None:
        """The reference's forward of one made micro-batch, for counting."""

    def models(self) -> list[Any]:
        """Every model whose weights a step reads, the reference's own included."""
