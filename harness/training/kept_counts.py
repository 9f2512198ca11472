"""Counts of single steps kept in the run root, for every stage that would count the same step again.

A count is a matter of shapes, model, settings and code alone, and takes as long as a training step or longer;
rehearsals, seeds and arms ask for the same ones. A file is called by the digest of all that a count depends
on, so that nothing has to be compared when it is read.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

from harness.measure.counting import FlopCount
from harness.measure.flops import Bucket
from harness.records import Record
from harness.sealed import read_sealed, write_sealed
from harness.training.depends import digest_of_all, model_in_numbers, own_code
from harness.training.job import StageTrainer

NOT_OF_A_STEP = (
    *("learning_rate", "schedule", "warmup_ratio", "warmup_steps", "min_lr_rate"),
    *("weight_decay", "max_grad_norm"),
    *("epochs", "max_steps", "batch_size", "early_stopping", "keep_checkpoints", "devices", "parallel"),
)
"""Settings of the optimizer and of the loop around steps."""
Counts = dict[Bucket, FlopCount]


class _OneCount(Record):
    bucket: dict[str, int]
    total: int
    unknown_ops: tuple[str, ...]
    by_op: dict[str, int]


class _File(Record):
    why_real: str | None
    steps: list[_OneCount]
    reference: list[_OneCount]


@dataclass
class KeptCounts:
    """What is known of one trainer's steps and of its reference's passes; `file` None keeps nothing.

    `why_real` is what the step counter had found against counting by shapes.
    """

    file: Path | None = None
    why_real: str | None = None
    steps: Counts = field(default_factory=dict)
    reference: Counts = field(default_factory=dict)

    @classmethod
    def read(cls, file: Path) -> KeptCounts:
        """Those in `file`; none where it is not there or was damaged, since they can be counted again."""
        try:
            kept = read_sealed(file, _File)
        except (OSError, ValueError):
            return cls(file)
        return cls(file, kept.why_real, _read(kept.steps), _read(kept.reference))

    def keep(self, steps: Mapping[Bucket, FlopCount], reference: Mapping[Bucket, FlopCount]) -> None:
        """Write what is new beside what was known."""
        new = steps.keys() - self.steps.keys() or reference.keys() - self.reference.keys()
        if self.file is None or not new:
            return
        self.steps, self.reference = {**self.steps, **steps}, {**self.reference, **reference}
        self.file.parent.mkdir(parents=True, exist_ok=True)
        kept = _File(why_real=self.why_real, steps=_written(self.steps), reference=_written(self.reference))
        write_sealed(self.file, kept)


def kept_counts(trainer: StageTrainer) -> KeptCounts:
    """What is known of `trainer`'s steps; nothing is known and kept where its job names no folder."""
    folder = trainer.job.counts_folder
    return KeptCounts() if folder is None else KeptCounts.read(folder / f"{_name_of(trainer)}.json")


def _name_of(trainer: StageTrainer) -> str:
    """The digest of all that counts of `trainer` depend on."""
    config = trainer.job.config.model_dump(mode="json")
    whole = {
        "depends": trainer.job.counts_depend_on,
        "harness": own_code(),
        "trainer": type(trainer).__qualname__,
        "method": trainer.job.method,
        "config": {name: value for name, value in config.items() if name not in NOT_OF_A_STEP},
        "models": [model_in_numbers(model) for model in trainer.models()],
        "head": trainer.head_cost,
        "reference_through_adapters": trainer.reference_through_adapters(),
    }
    return digest_of_all(whole)


def _read(counts: list[_OneCount]) -> Counts:
    return {Bucket(**one.bucket): FlopCount(one.total, one.unknown_ops, one.by_op) for one in counts}


def _written(counts: Counts) -> list[_OneCount]:
    return [
        _OneCount(
            bucket={name: value for name, value in asdict(bucket).items() if value is not None},
            total=count.total,
            unknown_ops=count.unknown_ops,
            by_op=count.by_op,
        )
        for bucket, count in counts.items()
    ]
