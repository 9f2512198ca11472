"""What a training run leaves behind for its ledger and its series."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from harness.measure.ranks import ALONE, Ranks
from harness.measure.window import ROLLOUT_REFERENCE, ROLLOUT_REWARD

if TYPE_CHECKING:
    import torch

    from harness.measure.flops import Bucket
    from harness.training.shape import Shape


@dataclass
class Totals:
    """The effective batch that is being worked on: what losses are divided by."""

    pairs: int = 1
    nll_tokens: int = 1


@dataclass
class Trace:
    """Rows of metrics, shapes of micro-batches in order, and sequences by the models' own hooks.

    `micro_batches` says how many micro-batches each optimizer step had. `forwarded` counts sequences
    by phase and `with_gradient` those that a gradient came back to: of this rank alone, as shapes and rows
    are of all `ranks`. `void` are the shapes of micro-batches without weight, by which ranks that have
    nothing else to do take part in a step; while one of them runs, `in_void`, no sequence is counted.
    """

    rows: list[dict[str, Any]] = field(default_factory=list)
    shapes: list[Shape] = field(default_factory=list)
    micro_batches: list[int] = field(default_factory=list)
    forwarded: Counter[str] = field(default_factory=Counter)
    with_gradient: int = 0
    ranks: Ranks = ALONE
    void: list[Shape] = field(default_factory=list)
    in_void: bool = False
    _values: dict[str, list[torch.Tensor]] = field(default_factory=dict)

    def note(self, own: list[Shape], void: Sequence[Shape] = ()) -> Totals:
        """Note the shapes of an effective batch, of which this rank has its `own`, and give its totals."""
        shapes = self.ranks.in_turn(own)
        self.void += void
        self.shapes += shapes
        self.micro_batches.append(len(shapes))
        return Totals(
            pairs=sum(shape.pairs for shape in shapes),
            nll_tokens=max(1, sum(shape.nll_tokens for shape in shapes)),
        )

    def add(self, name: str, values: torch.Tensor) -> None:
        """Values of one micro-batch, one a pair, kept on the device until they are logged."""
        self._values.setdefault(name, []).append(values.detach())

    def drain(self) -> dict[str, float]:
        """Means over the effective batch since the last call, read from the device at once."""
        import torch

        if not self._values:
            return {}
        all_values = [torch.cat(values).float() for values in self._values.values()]
        if self.ranks.alone:
            means = torch.stack([values.mean() for values in all_values])
        else:
            # A rank that had nothing but void micro-batches brings sums and counts of nothing.
            sums = torch.stack([values.double().sum() for values in all_values])
            counts = sums.new_tensor([len(values) for values in all_values])
            means = self.ranks.total(torch.stack((sums, counts)))
            means = means[0] / means[1]
        names = list(self._values)
        self._values.clear()
        return dict(zip(names, means.tolist(), strict=True))

    def gather(self) -> None:
        """Add up the sequences of all ranks, on rank 0; all of them have to ask."""
        told = self.ranks.told((dict(self.forwarded), self.with_gradient, self.void))
        if self.ranks.first:
            self.forwarded = sum((Counter(forwarded) for forwarded, _, _ in told), Counter())
            self.with_gradient = sum(count for _, count, _ in told)
            self.void = [shape for _, _, void in told for shape in void]

    def in_order(self) -> list[Bucket]:
        """The shape of every micro-batch that ran."""
        return [shape.bucket for shape in self.shapes]

    def forget_values(self) -> None:
        """Drop what made-up batches added."""
        self._values.clear()


def watch_sequences(model: Any, trace: Trace, phase: Callable[[], str | None]) -> None:
    """Count what goes forward through `model` in the phases train and reference, what a gradient comes back
    to, and of answers that a stage made itself the passes that score them, not those that made them."""

    def noted(module: Any, args: Any, kwargs: Any, output: Any) -> None:
        current = None if trace.in_void else phase()
        if current in (ROLLOUT_REFERENCE, ROLLOUT_REWARD):
            current = "train"
        if current not in ("train", "reference"):
            return
        row = kwargs.get("flat_row")
        size = int((kwargs["input_ids"] if "input_ids" in kwargs else args[0]).shape[0])
        size = size if row is None else row.sequences
        trace.forwarded[current] += size
        result = _tensor_of(output)
        if result.requires_grad:
            result.register_hook(lambda gradient: _count(trace, size))

    model.register_forward_hook(noted, with_kwargs=True)


def _count(trace: Trace, size: int) -> None:
    trace.with_gradient += size


def _tensor_of(output: Any) -> Any:
    """What a loss is made of: log-probs where a head gives them, else logits."""
    if hasattr(output, "requires_grad"):
        return output
    log_probs = getattr(output, "log_probs", None)
    return output.logits if log_probs is None else log_probs
