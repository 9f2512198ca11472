"""Log-probs of a reference kept in the run root, for every stage that would score the same pairs alike.

They are called by the digest of all that a log-prob depends on, to its last bit, so that nothing has to be
compared when they are read. Beside the tensors stands a sealed record of the pass that made them: what it
took is charged to whoever reads them. What is damaged, or was made by a stage that no longer stands as it
was, is made again.
"""

from __future__ import annotations

import hashlib
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.torch
import torch

from harness.measure.flops import Bucket
from harness.measure.window import Charged
from harness.methods import about, load_method
from harness.pipeline.training_spec import ReferenceConfig
from harness.records import Record, WindowState
from harness.sealed import read_sealed, write_sealed
from harness.training.collate import Rows
from harness.training.depends import digest_of_all, model_in_numbers, own_code
from harness.training.job import ReferenceCache, StageTrainer
from harness.training.kept_counts import NOT_OF_A_STEP
from harness.whole_file import written_whole

NOT_OF_A_LOG_PROB = (
    *NOT_OF_A_STEP,
    *("optimizer", "adam_beta1", "adam_beta2", "checkpoint_every_steps", "reference", "reference_cache"),
)
"""Settings that act on no weight before the first step and on no forward pass."""
LogProbs = dict[int, list[torch.Tensor]]
"""By a pair's index: of its chosen and its rejected sequence, (scored positions,) each."""


@dataclass(frozen=True)
class Pass:
    """A pass over all pairs: its micro-batches in order, sequences that went forward, and what it took."""

    buckets: list[Bucket]
    sequences: int
    spent: WindowState


@dataclass(frozen=True)
class Kept:
    """A pass that another stage made: `digest` is that stage's, `tensors` is of its log-probs."""

    made: Pass
    digest: str
    charged: Charged
    tensors: str


class _File(Record):
    digest: str
    name: str
    attempt: str
    buckets: list[tuple[int, int, int, int | None]]
    sequences: int
    spent: WindowState
    tensors: str


@dataclass(frozen=True)
class KeptLogProbs:
    """What is kept of one pass, under `name`."""

    cache: ReferenceCache
    name: str

    @property
    def _record(self) -> Path:
        return self.cache.folder / f"{self.name}.json"

    @property
    def _tensors(self) -> Path:
        return self.cache.folder / f"{self.name}.safetensors"

    def look(self, *, joules: bool) -> Kept | None:
        """The pass of a finished stage that stands as it was; its joules are known where this stage's are
        (`joules`). None where the stage is to measure anew."""
        if self.cache.anew:
            return None
        try:
            file = read_sealed(self._record, _File)
        except (OSError, ValueError):
            return None
        maker = self.cache.finished(file.digest)
        if maker is None or maker.attempt != file.attempt or bool(file.spent.joules) != joules:
            return None
        made = Pass([Bucket(*numbers) for numbers in file.buckets], file.sequences, file.spent)
        charged = Charged(f"{file.name} ({file.digest})", tuple(maker.notes))
        return Kept(made, file.digest, charged, file.tensors)

    def read(self, kept: Kept) -> LogProbs | None:
        """The log-probs of `kept`; None where they are not as they were written."""
        try:
            content = self._tensors.read_bytes()
        except OSError:
            return None
        if _digest(content) != kept.tensors:
            return None
        found = safetensors.torch.load(content)
        rows = zip(found["indices"].tolist(), found["lengths"].tolist(), strict=True)
        parts = iter(found["values"].split(found["lengths"].flatten().tolist()))
        return {index: [next(parts) for _ in lengths] for index, lengths in rows}

    def keep(self, found: LogProbs, made: Pass) -> None:
        """Write `found` and the pass that made it in place of what was kept."""
        tensors = {
            "values": torch.cat([part for parts in found.values() for part in parts]),
            "lengths": torch.tensor([[len(part) for part in parts] for parts in found.values()]),
            "indices": torch.tensor(list(found)),
        }
        content = safetensors.torch.save(tensors)
        self.cache.folder.mkdir(parents=True, exist_ok=True)
        with written_whole(self._tensors) as temporary:
            temporary.write_bytes(content)
        record = _File(
            digest=self.cache.digest,
            name=self.cache.name,
            attempt=self.cache.attempt,
            buckets=[astuple(bucket) for bucket in made.buckets],
            sequences=made.sequences,
            spent=made.spent,
            tensors=_digest(content),
        )
        write_sealed(self._record, record)


def kept_log_probs(trainer: StageTrainer, weights: str, pairs: Rows) -> KeptLogProbs | None:
    """Where log-probs of `pairs` by `weights`, a fingerprint, are kept.

    None where they are not: without a cache, where it is off, in a rehearsal, which scores a few rows, and
    where several ranks score them, whose pass one record cannot hold.
    """
    job, cache, config = trainer.job, trainer.job.references, trainer.job.config
    learned = about(load_method(job.method), config).data
    assert isinstance(config, ReferenceConfig)
    if cache is None or job.rows is not None or config.reference_cache == "off" or not job.ranks.alone:
        return None
    head = trainer.head_facts()
    assert head is not None, "what has a reference has log-probs"
    settings = config.model_dump(mode="json", include=ReferenceConfig.model_fields.keys() - NOT_OF_A_LOG_PROB)
    whole: dict[str, Any] = {
        "weights": [weights, cache.origin],
        "pairs": _digest_of_pairs(pairs),
        # A cell's own measurement is never another seed's or repeat's.
        "cell": [job.seed, cache.repeat],
        "config": settings,
        "batches": [learned, trainer.nll_scope, trainer.processing_class.pad_token_id],
        "head": head.model_dump(mode="json"),
        "layout": trainer.layout_facts().model_dump(mode="json"),
        "models": [model_in_numbers(model) for model in trainer.models()],
        "threads": torch.get_num_threads(),
        "harness": own_code(),
        "depends": cache.depends_on,
    }
    return KeptLogProbs(cache, digest_of_all(whole))


def _digest_of_pairs(pairs: Rows) -> str:
    """Of token ids, in the order of the file, which is that of micro-batches."""
    found = hashlib.blake2b(digest_size=16)
    for row in pairs:
        for ids in (row["prompt_ids"], row["chosen_ids"], row["rejected_ids"]):
            tokens = np.asarray([] if ids is None else ids, dtype=np.int64)
            found.update(len(tokens).to_bytes(8, "little") + tokens.tobytes())
    return found.hexdigest()


def _digest(content: bytes) -> str:
    return hashlib.blake2b(content, digest_size=16).hexdigest()
