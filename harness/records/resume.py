"""What a training stage writes down beside a checkpoint, to go on from there as if nothing had happened."""

from __future__ import annotations

from typing import Any, Literal

from harness.records.base import Record

PeakBytes = tuple[int | None, int | None, int | None]
"""Bytes of the host, and allocated and reserved bytes of the accelerator."""


class WindowState(Record):
    """Seconds, joules and highest peaks of phases, for a process that is charged for them too.

    `host_level` is what the process held after imports: above it a peak of the host is the phases' own.
    """

    seconds: dict[str, float]
    joules: dict[str, float]
    peaks: dict[str, PeakBytes]
    host_level: int | None = None


class CheckpointState(Record):
    """What is in no checkpoint of transformers: the trace of the run, its clocks and its watchers.

    `shapes` are (batch, length, scored, row, pairs, real tokens, NLL tokens) of every micro-batch,
    `forwarded` and `with_gradient` sequences that went through the model in training. `files` are digests
    of the checkpoint's own files by name: it is whole where they are right, since this is written last.
    `started_from` is the fingerprint of the weights that training began with. `timed`: it
    was written for its own sake, and goes when the next one is whole.
    """

    schema_version: Literal[1] = 1
    step: int
    timed: bool
    started_from: str
    window: WindowState
    rows: list[dict[str, Any]]
    shapes: list[tuple[int, int, int, int | None, int, int, int]]
    micro_batches: list[int]
    forwarded: int
    with_gradient: int
    lost_shares: list[float]
    sampled_weights: int
    files: dict[str, str]
