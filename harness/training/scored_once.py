"""A reference's one pass over all pairs: made and kept, or read where another stage has made it.

Whoever reads is charged what the pass took when it was made. What stands in its place, reading and one
micro-batch that is scored to see that it agrees to the bit, has a phase of its own.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from typing import Any

import torch

from harness.measure.flops import Bucket
from harness.measure.window import AUDIT, REFERENCE, REFERENCE_READ
from harness.training.collate import Rows
from harness.training.job import StageTrainer
from harness.training.kept_log_probs import Kept, KeptLogProbs, Pass, kept_log_probs
from harness.training.reference import TRAIN, Reference

Batches = Callable[[], Iterator[dict[str, Any]]]
say = logging.getLogger("harness")


def score_once(trainer: StageTrainer, reference: Reference, rows: Rows, batches: Batches) -> list[Bucket]:
    """Let `reference` know the log-probs of all of `rows`, of which `batches` hold those that are this rank's
    to score; returns the shapes of all batches."""
    window = trainer.job.window
    with window.phase(AUDIT):
        place = kept_log_probs(trainer, reference.weights, rows)
        kept = None if place is None else place.look(joules=window.joules_so_far() is not None)
    if place is not None and kept is not None and _read(trainer, reference, place, kept, batches):
        return kept.made.buckets
    buckets: list[Bucket] = []
    ranks = trainer.job.ranks
    with window.phase(REFERENCE):
        reference.precompute(_noted(batches(), buckets), TRAIN)
        reference.share(ranks, TRAIN)
    if place is not None:
        with window.phase(AUDIT):
            made = Pass(buckets, trainer.trace.forwarded[REFERENCE], window.state((REFERENCE,)))
            place.keep(reference.known(TRAIN), made)
    return ranks.in_turn(buckets)


def _read(
    trainer: StageTrainer, reference: Reference, place: KeptLogProbs, kept: Kept, batches: Batches
) -> bool:
    """Take over what is kept and be charged for it; False where it is not what would be scored here."""
    window = trainer.job.window
    with window.phase(REFERENCE_READ):
        found = place.read(kept)
        if found is None:
            return False
        first = next(batches())
        reference.know(found, TRAIN)
        if not torch.equal(reference(first, TRAIN), reference.scorer(first)):
            say.info("%s scored other log-probs, so that they are made again", kept.charged.where)
            return False
    reference.scored_in = kept.digest
    trainer.trace.forwarded[REFERENCE] += kept.made.sequences
    window.charge(kept.made.spent, kept.charged)
    say.info("reads the log-probs that %s scored, and is charged for them", kept.charged.where)
    return True


def _noted(batches: Iterator[dict[str, Any]], buckets: list[Bucket]) -> Iterator[dict[str, Any]]:
    for batch in batches:
        buckets.append(batch["shape"].bucket)
        yield batch
