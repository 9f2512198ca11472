"""Checkpoints by time, and the way back: a stage that was interrupted ends as if it had not been.

Transformers keeps weights, optimizer, scheduler, random states and its own counts. Beside them stands what
the ledger and the series need. All of it is written and read in the phase `checkpoint`, which no headline
contains.
"""

from __future__ import annotations

import logging
import shutil
import time
from collections.abc import Callable
from dataclasses import astuple
from pathlib import Path
from typing import Any

import transformers

from harness.artifacts import sketches
from harness.measure.flops import Bucket
from harness.measure.ranks import ALONE, Ranks
from harness.measure.window import CHECKPOINT, ROLLOUT_PHASES, Window
from harness.records import CheckpointState
from harness.training.shape import Shape
from harness.training.trace import Trace
from harness.training.updates import Updates

STATE = "harness.json"
CARRIED = ("train", *ROLLOUT_PHASES, "evaluation", CHECKPOINT)
"""Phases whose work a checkpoint keeps; loading and the reference's pass are done again."""
ROOM = 1.2
"""Times as much free disk as a checkpoint and the final weights take there has to be."""
MOST_SHARE = 0.05
"""Of the time that checkpoints may take, where `every` is too short for their size."""

say = logging.getLogger("harness")


class Checkpoints(transformers.TrainerCallback):
    """Asks for a checkpoint every `every` seconds of its own clock, and completes every one that is written.

    None is asked for after the last step, nor where less than the bytes that are `needed` are free; they
    come less often where they would take more than a small share of the time.
    """

    def __init__(
        self,
        trace: Trace,
        window: Window,
        updates: Updates,
        folder: Path,
        every: float | None,
        *,
        started_from: str = "",
        needed: float = 0.0,
        ranks: Ranks = ALONE,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._trace, self._window, self._updates = trace, window, updates
        self._folder, self._every, self._needed, self._now = folder, every, needed, now
        self._started_from, self._ranks = started_from, ranks
        self._since, self._pause, self._asked = now(), every or 0.0, False

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """The time runs from here."""
        self._since = self._now()

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Whether it is time; nothing goes on from where a stage is ended."""
        if not self._every or control.should_training_stop or state.global_step >= state.max_steps:
            return
        if control.should_save:
            # One that the settings ask for is kept as they say, and serves as well.
            self._since = self._now()
            return
        if self._now() - self._since >= self._pause:
            self._since = self._now()
            control.should_save = self._asked = self._has_room()

    def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Write down the rest, and let go of the checkpoint before."""
        with self._window.phase(CHECKPOINT):
            # Every rank has written its part of the checkpoint when it tells of its sequences.
            counts = self._ranks.told((self._trace.forwarded["train"], self._trace.with_gradient))
            if self._ranks.first:
                self._complete(state.global_step, counts)
        # Large weights on a slow disk would take more of the time than an interruption costs.
        took = self._now() - self._since if self._asked else 0.0
        self._pause = max(self._every or 0.0, took / MOST_SHARE)
        self._asked, self._since = False, self._now()

    def _complete(self, step: int, counts: list[tuple[int, int]]) -> None:
        """Write what transformers does not keep beside its files; `counts` are each rank's sequences."""
        folder = self._folder / f"checkpoint-{step}"
        found = CheckpointState(
            step=step,
            timed=self._asked,
            started_from=self._started_from,
            window=self._window.state(CARRIED),
            files=sketches(folder),
            **_of_trace(self._trace),
            forwarded=sum(forwarded for forwarded, _ in counts),
            with_gradient=sum(count for _, count in counts),
            **self._updates.state(),
        )
        partial = folder / f".{STATE}"
        partial.write_text(found.model_dump_json(), encoding="utf-8")
        partial.replace(folder / STATE)
        drop_timed(self._folder, but=folder)

    def _has_room(self) -> bool:
        """Whether the checkpoint and the final weights fit on the disk; says it where they do not."""
        free = shutil.disk_usage(self._folder.parent).free
        if free > self._needed:
            return True
        say.info("no checkpoint: it needs %.1f GB and %.1f are free", self._needed / 1e9, free / 1e9)
        return False


def room_for(model: Any) -> float:
    """Bytes that a checkpoint and the final weights take: weights twice, and two moments of the optimizer."""
    trained = [weight for weight in model.parameters() if weight.requires_grad]
    return ROOM * float(sum(weight.numel() * (2 * weight.element_size() + 8) for weight in trained))


def newest_whole(folder: Path, started_from: str) -> tuple[Path, CheckpointState] | None:
    """The latest checkpoint whose files are as they were written, of a stage that started from the same
    weights; others are said."""
    found = [(state, one) for one in folder.glob("checkpoint-*") if (state := _read(one)) is not None]
    for state, one in sorted(found, key=lambda pair: -pair[0].step):
        files = {name: digest for name, digest in sketches(one).items() if name != STATE}
        if state.started_from != started_from:
            say.info("%s is of other weights at the start and is not gone on from", one.name)
        elif files == state.files:
            return one, state
        else:
            say.info("%s is damaged and is not gone on from", one.name)
    return None


def restore(state: CheckpointState, trace: Trace, window: Window, updates: Updates) -> None:
    """Take up trace, clocks and watchers where they were."""
    say.info("goes on from step %d", state.step)
    # What is not finite stands as a string in JSON.
    metrics = [{name: float(value) for name, value in row["metrics"].items()} for row in state.rows]
    trace.rows[:0] = [{**row, "metrics": read} for row, read in zip(state.rows, metrics, strict=True)]
    trace.shapes[:0] = [Shape(Bucket(*numbers[:4]), *numbers[4:]) for numbers in state.shapes]
    trace.micro_batches[:0] = state.micro_batches
    if trace.ranks.first:
        trace.forwarded["train"] += state.forwarded
        trace.with_gradient += state.with_gradient
    window.carry(state.window)
    updates.restore(state)


def drop_timed(folder: Path, *, but: Path | None = None) -> None:
    """Delete what was written to go on from alone, `but` one."""
    for one in folder.glob("checkpoint-*"):
        state = _read(one)
        if one != but and state is not None and state.timed:
            shutil.rmtree(one)


def carried_seconds(state: CheckpointState) -> float:
    """What the checkpoint saved of the work before it."""
    return sum(state.window.seconds.values())


def _of_trace(trace: Trace) -> dict[str, Any]:
    shapes = [(*astuple(s.bucket), s.pairs, s.tokens_real, s.nll_tokens) for s in trace.shapes]
    return {
        "rows": trace.rows,
        "shapes": shapes,
        "micro_batches": trace.micro_batches,
    }


def _read(folder: Path) -> CheckpointState | None:
    """None for a checkpoint that was not completed, or that another version wrote."""
    try:
        return CheckpointState.model_validate_json((folder / STATE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
