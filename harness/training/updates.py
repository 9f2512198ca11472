"""Whether training moved the weights, or rounding froze them.

A weight held in bfloat16 has eight bits: an update below 1/512 of it is rounded away. At the learning
rates of preference training that is most of them.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import safetensors
import torch
from safetensors.torch import save_file
from transformers import TrainerCallback

from harness.generate.load import base_of_adapters, load_weights
from harness.measure.window import AUDIT, Window
from harness.records import CheckpointState, UpdateFacts
from harness.training.job import StageTrainer, TrainJob
from harness.training.load import precision_of, trains_reward
from harness.training.sharded import own_part

CHUNK = 1 << 22
SAMPLED_WEIGHTS = 1 << 18
SAMPLED_STEPS = 6

Start = Callable[[str], torch.Tensor]


class UpdateSample(TrainerCallback):  # type: ignore[misc]
    """Looks at some weights before and after some optimizer steps, on nobody's clock."""

    def __init__(self, model: Any, window: Window) -> None:
        self._model = model
        total = sum(weight.numel() for weight in trained_weights(model).values())
        self._stride = max(1, total // SAMPLED_WEIGHTS)
        self._window = window
        self._before: torch.Tensor | None = None
        self._sampled = 0
        self._shares: list[float] = []

    def on_pre_optimizer_step(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        every = max(1, state.max_steps // SAMPLED_STEPS)
        # The first step of a warm-up has a learning rate of nothing or next to nothing.
        if (state.global_step + 1) % every == 0:
            with self._window.phase(AUDIT):
                self._before = self._sample()

    def on_optimizer_step(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if self._before is None:
            return
        with self._window.phase(AUDIT):
            share = lost_to_bfloat16(self._before, self._sample())
        self._sampled, self._before = len(self._before), None
        if share is not None:
            self._shares.append(share)

    def facts(self) -> dict[str, Any]:
        """Fields of UpdateFacts; nothing where weights are held in bfloat16."""
        if not self._shares:
            return {}
        steps = len(self._shares)
        mean = sum(self._shares) / steps
        return {"lost_to_bfloat16": mean, "sampled_steps": steps, "sampled_weights": self._sampled}

    def state(self) -> dict[str, Any]:
        """Fields of CheckpointState."""
        return {"lost_shares": self._shares, "sampled_weights": self._sampled}

    def restore(self, state: CheckpointState) -> None:
        """Take up what was seen before a checkpoint."""
        self._shares, self._sampled = [*state.lost_shares, *self._shares], state.sampled_weights

    def _sample(self) -> torch.Tensor:
        """Every so many-th trained weight, of a sharded model of this rank's share, copied: (weights,)."""
        weights = (own_part(w).detach().reshape(-1) for w in trained_weights(self._model).values())
        return torch.cat([weight[:: self._stride] for weight in weights])


def lost_to_bfloat16(before: torch.Tensor, after: torch.Tensor) -> float | None:
    """The share of moved weights whose update a bfloat16 copy would round away.

    None where nothing moved, or where `before` is in bfloat16 itself.
    """
    if before.dtype == torch.bfloat16:
        return None
    moved = before != after
    held = before.bfloat16()
    kept = (held.to(before.dtype) + (after - before)).bfloat16()
    count = int(moved.sum())
    return int((moved & (kept == held)).sum()) / count if count else None


@dataclass
class StartWeights:
    """The trained weights as they were: on disk already, or kept in a file until the stage has ended.

    Full weights are read again from where they came. Adapters, weights that adapters were merged into, and
    a reward model with its new output are written down.
    """

    job: TrainJob
    _file: Path | None = field(default=None)

    def remember(self, model: Any) -> None:
        """Write down what cannot be read again."""
        whole = self.job.config.lora is None and base_of_adapters(self.job.model) is None
        if (whole and not trains_reward(self.job)) or not self.job.ranks.first:
            return
        self._file = self.job.out / "start.safetensors"
        tensors = {name: weight.detach().contiguous() for name, weight in trained_weights(model).items()}
        save_file(tensors, self._file)

    @contextlib.contextmanager
    def read(self) -> Iterator[Start]:
        """A function from a name to the weight that it names, on the host."""
        if self._file is None:
            config = self.job.config
            dtype = precision_of(config).trained
            job = self.job
            model = load_weights(job.model, job.revision, dtype, on_device=False, own_code=job.own_code)
            weights = dict(model.named_parameters())
            yield lambda name: weights[name].detach()
            return
        with safetensors.safe_open(self._file, framework="pt") as kept:
            yield kept.get_tensor
        self._file.unlink()


def trained_weights(model: Any) -> dict[str, torch.Tensor]:
    """The parameters that training may change, by name."""
    return {name: p for name, p in model.named_parameters() if p.requires_grad}


class Updates:
    """Watches a stage's weights from its start to its end; made on nobody's clock."""

    def __init__(self, trainer: StageTrainer) -> None:
        self._start = StartWeights(trainer.job)
        self._start.remember(trainer.model)
        self._sample = UpdateSample(trainer.model, trainer.job.window)
        trainer.add_callback(self._sample)

    def state(self) -> dict[str, Any]:
        """What a checkpoint keeps of it."""
        return self._sample.state()

    def restore(self, state: CheckpointState) -> None:
        """Go on from a checkpoint."""
        self._sample.restore(state)

    def facts(self, trainer: StageTrainer) -> UpdateFacts:
        """How far the weights of the trained stage are from where they began."""
        return _update_facts(trainer, self._start, self._sample)


def _update_facts(trainer: StageTrainer, start: StartWeights, sample: UpdateSample) -> UpdateFacts:
    moved = total = 0
    change = norm = 0.0
    with start.read() as weight_at_start:
        for name, weight in trained_weights(trainer.model).items():
            began = weight_at_start(name).reshape(-1)
            ended = weight.detach().reshape(-1)
            for a, b in zip(began.split(CHUNK), ended.split(CHUNK), strict=True):
                here = b.cpu()
                moved += int((a != here).sum())
                change += float((here.double() - a.double()).square().sum())
                norm += float(a.double().square().sum())
            total += weight.numel()
    relative = (change / norm) ** 0.5 if norm else None
    return UpdateFacts(moved_share=moved / total, relative_norm=relative, **sample.facts())
