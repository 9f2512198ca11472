"""From a checked spec to the stages that answer it: pure, and the same every time.

    prepare ──> check, rehearse sft, rehearse dpo, rehearse orpo
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
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from harness.pipeline.load import benchmark_config, sft_data_of, stage_config
from harness.pipeline.spec import ArmSpec, ComparisonSpec, StageSpec
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
    builder = PlanBuilder(spec, resolved)
    return builder.build()


class PlanBuilder:
    """Makes stages and keeps them by digest; `label` names what is scored again beside old scores."""

    def __init__(self, spec: ComparisonSpec, resolved: Resolved, label: str | None = None) -> None:
        self.spec = spec
        self.resolved = resolved
        self.label = {"label": label} if label else {}
        self.stages: dict[str, PlannedStage] = {}
        self.benchmarks = {
            name: benchmark_config(spec, name).model_dump(mode="json", by_alias=True) for name in spec.score
        }

    def build(self) -> Plan:
        spec = self.spec
        prepare = self._prepare()
        check, rehearsals = self.check(prepare), self._rehearsals(prepare)
        trained: list[str] = []
        cells: list[PlannedCell] = []
        blocks: list[list[str]] = []
        for repeat in range(spec.repeats):
            for seed in spec.seeds:
                arms_now = self._block_order(seed, repeat)
                blocks.append([f"{arm.name}@{seed}" for arm in arms_now])
                for arm in arms_now:
                    cell = self._cell(arm, seed, prepare, repeat)
                    trained += [d for d in cell.stages if d not in trained]
                    cells.append(cell)
        base = self.evaluate("base", 0, prepare, None) if spec.score else None
        arms = [arm.name for arm in spec.arms]
        cells.sort(key=lambda cell: (arms.index(cell.arm), cell.seed, cell.repeat))
        evaluates = [base] if base else []
        evaluates += [c.evaluate for c in cells if c.evaluate and c.evaluate not in evaluates]
        judge = self.judge(prepare, base, cells)
        order = [prepare, check, *rehearsals, *trained, *evaluates, *([judge] if judge else [])]
        body: dict[str, Any] = {"spec": spec.model_dump(mode="json", by_alias=True), "order": order}
        return Plan(
            id=f"{spec.name}-{digest_of(body)[:10]}",
            name=spec.name,
            spec=body["spec"],
            stages={digest: self.stages[digest] for digest in order},
            cells=cells,
            order=order,
            prepare=prepare,
            check=check,
            rehearsals=rehearsals,
            blocks=blocks,
            base_evaluate=base,
            judge=judge,
        )

    def _block_order(self, seed: int, repeat: int) -> list[ArmSpec]:
        """The arms of one block in a random order that the spec alone decides.

        Every block holds every arm once, so that a drift of the machine meets all arms alike.
        """
        arms = list(self.spec.arms)
        random.Random(f"{self.spec.name}/{seed}/{repeat}").shuffle(arms)
        return arms

    def _add(
        self,
        kind: StageKind,
        name: str,
        seed: int,
        config: dict[str, Any],
        needs: dict[str, str],
        arm: str | None = None,
        apart: Mapping[str, Any] | None = None,
    ) -> str:
        """A stage's digest; `apart` is recorded in its config and no part of what it is."""
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
                digest=digest,
                kind=kind,
                name=name,
                seed=seed,
                config={**config, **(apart or {})},
                needs=needs,
                arm=arm,
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

    def check(self, prepare: str) -> str:
        """The benchmarks' own checks, and the room on the disk."""
        config = {
            "arms": [arm.name for arm in self.spec.arms],
            "benchmarks": self.benchmarks,
            "generation": self.spec.generation.model_dump(mode="json"),
        }
        return self._add("check", "check", 0, config, {"prepared": prepare})

    def _rehearsals(self, prepare: str) -> list[str]:
        """One of every distinct training stage, in the order in which arms need them.

        A stage that goes on from adapters needs those of the rehearsal before it; one that goes
        on from full weights is as large and as fast from the base model.
        """
        arms_of: dict[tuple[str, ...], list[str]] = {}
        jobs: dict[tuple[str, ...], tuple[StageSpec, dict[str, Any]]] = {}
        for arm in self.spec.arms:
            chain: tuple[str, ...] = ()
            has_adapters = False
            for stage in arm.stages:
                job = self._train_config(arm, stage.stage_name)
                goes_on = has_adapters and job["config"]["lora"]
                chain = (*(chain if goes_on else ()), digest_of(job))
                has_adapters = bool(job["config"]["lora"])
                arms_of.setdefault(chain, []).append(arm.name)
                jobs[chain] = (stage, job)
        made: dict[tuple[str, ...], str] = {}
        for chain, (stage, job) in jobs.items():
            before = made.get(chain[:-1])
            needs = {"prepared": prepare, **({"model": before} if before else {})}
            apart = {"stage": stage.stage_name, "arms": arms_of[chain]}
            name = f"rehearse {stage.stage_name}"
            seed = self.spec.seeds[0]
            config = {"job": job, "steps": self.spec.rehearsal_steps}
            made[chain] = self._add("rehearse", name, seed, config, needs, apart=apart)
        return list(dict.fromkeys(made.values()))

    def _train_config(self, arm: ArmSpec, stage_name: str) -> dict[str, Any]:
        stage = next(s for s in arm.stages if s.stage_name == stage_name)
        config = stage_config(self.spec, stage).model_dump(mode="json", by_alias=True)
        owns_sft_data = stage.method == "sft" and arm.sft_data is not None
        return {
            "method": stage.method,
            "config": config,
            "sft_data": arm.name if owns_sft_data else None,
        }

    def _cell(self, arm: ArmSpec, seed: int, prepare: str, repeat: int) -> PlannedCell:
        digests: list[str] = []
        for stage in arm.stages:
            needs = {"prepared": prepare}
            if digests:
                needs["model"] = digests[-1]
            name = f"{arm.name}/{stage.stage_name}@{seed}"
            config = self._train_config(arm, stage.stage_name)
            if repeat:
                name, config = f"{name}#{repeat}", {**config, "repeat": repeat}
            digests.append(self._add("train", name, seed + arm.seed_offset, config, needs, arm.name))
        evaluate = None
        if self.spec.score and not repeat:
            evaluate = self.evaluate(arm.name, seed, prepare, digests[-1])
        return PlannedCell(arm=arm.name, seed=seed, stages=digests, evaluate=evaluate, repeat=repeat)

    def evaluate(
        self, arm: str, seed: int, prepare: str, model: str | None, answers: Sequence[str] = ()
    ) -> str:
        """The stage that scores a cell; what the stages `answers` answered is not asked again."""
        config = {
            "benchmarks": self.benchmarks,
            "generation": self.spec.generation.model_dump(mode="json"),
            **self.label,
        }
        needs = {"prepared": prepare, **({"model": model} if model else {})}
        needs |= {f"answers:{number}": digest for number, digest in enumerate(answers)}
        name = f"{arm}/evaluate@{seed}" if model else "base/evaluate"
        return self._add("evaluate", name, 0, config, needs, arm)

    def judge(self, prepare: str, base: str | None, cells: list[PlannedCell]) -> str | None:
        """The stage that compares cells, if some benchmark does."""
        judged = {n: c for n, c in self.benchmarks.items() if n in self.resolved.judged}
        if not judged:
            return None
        needs = {"prepared": prepare}
        if base:
            needs["cell:base"] = base
        for cell in cells:
            if cell.evaluate is not None:
                needs[f"cell:{cell.arm}@{cell.seed}"] = cell.evaluate
        config = {"benchmarks": judged, "baseline": self.spec.baseline, **self.label}
        return self._add("judge", "judge", 0, config, needs)
