"""From a checked spec to the stages that answer it: pure, and the same every time.

    prepare ──> rehearse
       │
       ├──> train sft ──> train dpo ──> evaluate (sft_dpo, seed) ──┐
       ├──> train orpo ──────────────> evaluate (orpo, seed) ──────┼──> judge
       └──> evaluate (base) ───────────────────────────────────────┘

A stage's digest covers what can change its result: kind, config, seed, the digests of its
inputs, the model and data behind them, the libraries' versions, our own code and the device.
Its name and the arms that use it are not part of it, so equal stages are one stage.
"""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from harness.pipeline.load import benchmark_config, sft_data_of, stage_config
from harness.pipeline.spec import ArmSpec, ComparisonSpec
from harness.records import Plan, PlannedCell, PlannedStage, StageKind


@dataclass(frozen=True)
class Resolved:
    """What the outside world adds to a spec before it can be planned.

    `model` and `data` are digests of the inputs themselves (files, or a hub commit), `code` of
    the packages that compute results, `device` the GPU's UUID or the CPU's name.
    """

    model: str
    data: str
    code: str
    device: str
    versions: Mapping[str, str]
    judged: frozenset[str] = field(default_factory=frozenset)


def digest_of(value: Any) -> str:
    """A short sha256 of `value` as canonical JSON: 16 hex digits."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def plan_comparison(spec: ComparisonSpec, resolved: Resolved) -> Plan:
    """Expand arms and seeds into stages, deduplicate them by digest, and order them."""
    builder = _Builder(spec, resolved)
    return builder.build()


class _Builder:
    def __init__(self, spec: ComparisonSpec, resolved: Resolved) -> None:
        self.spec = spec
        self.resolved = resolved
        self.stages: dict[str, PlannedStage] = {}
        self.benchmarks = {
            name: benchmark_config(spec, name).model_dump(mode="json", by_alias=True) for name in spec.score
        }

    def build(self) -> Plan:
        spec = self.spec
        prepare = self._prepare()
        rehearse = self._rehearse(prepare)
        blocks: list[str] = []
        cells: list[PlannedCell] = []
        for seed in spec.seeds:
            for arm in self._block_order(seed):
                cell = self._cell(arm, seed, prepare)
                blocks += [d for d in cell.stages if d not in blocks]
                cells.append(cell)
        base = self._evaluate("base", 0, prepare, None) if spec.score else None
        arms = [arm.name for arm in spec.arms]
        cells.sort(key=lambda cell: (arms.index(cell.arm), cell.seed))
        evaluates = [base] if base else []
        evaluates += [c.evaluate for c in cells if c.evaluate and c.evaluate not in evaluates]
        judge = self._judge(prepare, base, cells)
        order = [prepare, rehearse, *blocks, *evaluates, *([judge] if judge else [])]
        body: dict[str, Any] = {"spec": spec.model_dump(mode="json", by_alias=True), "order": order}
        return Plan(
            id=f"{spec.name}-{digest_of(body)[:10]}",
            name=spec.name,
            spec=body["spec"],
            stages={digest: self.stages[digest] for digest in order},
            cells=cells,
            order=order,
            prepare=prepare,
            base_evaluate=base,
            judge=judge,
        )

    def _block_order(self, seed: int) -> list[ArmSpec]:
        """The arms of one seed in a random order that the spec alone decides."""
        arms = list(self.spec.arms)
        random.Random(f"{self.spec.name}/{seed}").shuffle(arms)
        return arms

    def _add(
        self,
        kind: StageKind,
        name: str,
        seed: int,
        config: dict[str, Any],
        needs: dict[str, str],
        arm: str | None = None,
    ) -> str:
        identity = {
            "kind": kind,
            "seed": seed,
            "config": config,
            "needs": needs,
            "code": self.resolved.code,
            "versions": dict(self.resolved.versions),
        }
        if kind in ("train", "rehearse"):
            identity["device"] = self.resolved.device
        digest = digest_of(identity)
        if digest not in self.stages:
            self.stages[digest] = PlannedStage(
                digest=digest, kind=kind, name=name, seed=seed, config=config, needs=needs, arm=arm
            )
        return digest

    def _prepare(self) -> str:
        spec = self.spec
        own = {arm.name: sft_data_of(arm) for arm in spec.arms}
        config = {
            "model": spec.model,
            "model_revision": spec.model_revision,
            "model_digest": self.resolved.model,
            "data": spec.data.model_dump(mode="json"),
            "data_digest": self.resolved.data,
            "sft_data": {n: d.model_dump(mode="json") for n, d in own.items() if d is not None},
        }
        return self._add("prepare", "prepare", 0, config, {})

    def _rehearse(self, prepare: str) -> str:
        """One rehearsal of every distinct training config, and the benchmarks' own checks."""
        jobs = []
        for arm in self.spec.arms:
            for stage in arm.stages:
                job = self._train_config(arm, stage.stage_name)
                if job not in jobs:
                    jobs.append(job)
        config = {
            "jobs": jobs,
            "arms": [arm.name for arm in self.spec.arms],
            "benchmarks": self.benchmarks,
            "generation": self.spec.generation.model_dump(mode="json"),
        }
        return self._add("rehearse", "rehearse", 0, config, {"prepared": prepare})

    def _train_config(self, arm: ArmSpec, stage_name: str) -> dict[str, Any]:
        stage = next(s for s in arm.stages if s.stage_name == stage_name)
        config = stage_config(self.spec, stage).model_dump(mode="json", by_alias=True)
        owns_sft_data = stage.method == "sft" and arm.sft_data is not None
        return {
            "method": stage.method,
            "config": config,
            "sft_data": arm.name if owns_sft_data else None,
        }

    def _cell(self, arm: ArmSpec, seed: int, prepare: str) -> PlannedCell:
        digests: list[str] = []
        for stage in arm.stages:
            needs = {"prepared": prepare}
            if digests:
                needs["model"] = digests[-1]
            name = f"{arm.name}/{stage.stage_name}@{seed}"
            config = self._train_config(arm, stage.stage_name)
            digests.append(self._add("train", name, seed, config, needs, arm.name))
        evaluate = None
        if self.spec.score:
            evaluate = self._evaluate(arm.name, seed, prepare, digests[-1])
        return PlannedCell(arm=arm.name, seed=seed, stages=digests, evaluate=evaluate)

    def _evaluate(self, arm: str, seed: int, prepare: str, model: str | None) -> str:
        config = {
            "benchmarks": self.benchmarks,
            "generation": self.spec.generation.model_dump(mode="json"),
        }
        needs = {"prepared": prepare, **({"model": model} if model else {})}
        name = f"{arm}/evaluate@{seed}" if model else "base/evaluate"
        return self._add("evaluate", name, 0, config, needs, arm)

    def _judge(self, prepare: str, base: str | None, cells: list[PlannedCell]) -> str | None:
        judged = {n: c for n, c in self.benchmarks.items() if n in self.resolved.judged}
        if not judged:
            return None
        needs = {"prepared": prepare}
        if base:
            needs["cell:base"] = base
        for cell in cells:
            assert cell.evaluate is not None
            needs[f"cell:{cell.arm}@{cell.seed}"] = cell.evaluate
        config = {"benchmarks": judged, "baseline": self.spec.baseline}
        return self._add("judge", "judge", 0, config, needs)
