"""The stages of a plan, one method a kind: settings, inputs, what the digest covers. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, TypedDict

from harness.pipeline.covers import TEST_PAIRS, digest_of_covers, for_training, judges_in
from harness.pipeline.engine import DECIDED_BY, why_padded
from harness.pipeline.load import benchmark_config, sft_data_of, stage_config
from harness.pipeline.model_form import ModelForm
from harness.pipeline.resolved import ITS_JUDGE, Resolved
from harness.pipeline.spec import ArmSpec, ComparisonSpec
from harness.pipeline.training_spec import OF_SEVERAL_DEVICES
from harness.records import Covers, EndRule, Implementation, PlannedCell, PlannedStage

STOCK = "training.stock"
"""Where the adapters of stock trainers stand; a stage loads its method's by name."""
JUDGE_KEYS = ("judge", "judge_config")
BASE = "base"
RANDOM_WEIGHTS = "config:"


class Asked(TypedDict):
    """Whose code and whose files a stage uses."""

    plug_ins: list[str]
    names: list[str]


class StagePlans:
    """Makes stages and keeps them by digest; `label` names what is scored again beside old scores."""

    def __init__(self, spec: ComparisonSpec, resolved: Resolved, label: str | None = None) -> None:
        self.spec = spec
        self.stages: dict[str, PlannedStage] = {}
        self._resolved = resolved
        self._label = {"label": label} if label else {}
        forms = [self._form(name) for name in (BASE, *(arm.name for arm in spec.arms))]
        self._why_padded = why_padded(spec.generation, resolved.device, forms)
        padded = {"engine": "padded"} if self._why_padded else {}
        self._generation = {**spec.generation.model_dump(mode="json"), **padded}
        self._benchmarks: dict[str, Any] = {
            name: benchmark_config(spec, name).model_dump(mode="json", by_alias=True) for name in spec.score
        }

    def prepare(self) -> str:
        """The data, tokenised once for all arms; all of them lose the pairs that any stops early by."""
        spec = self.spec
        sft_by_arm = {arm.name: sft_data_of(arm) for arm in spec.arms}
        validation = any(_stops_early(self.job(arm, s.stage_name)) for arm in spec.arms for s in arm.stages)
        data = spec.data.model_dump(mode="json")
        if not validation and not spec.development:
            del data["validation_fraction"]
        config = {
            "model": spec.model,
            "model_revision": spec.model_revision,
            **({"trust_remote_code": True} if spec.trust_remote_code else {}),
            "data": data,
            "sft_data": {n: d.model_dump(mode="json") for n, d in sft_by_arm.items() if d is not None},
            "validation": validation,
            **({"development": True} if spec.development else {}),
        }
        # Random weights are drawn in the dtype of the device that they are for.
        on_device = spec.model.startswith(RANDOM_WEIGHTS)
        covers = self._resolved.covers("prepare", 0, config, {}, names=["prepare"], on_device=on_device)
        return self._add(covers, "prepare", {})

    def check(self, prepare: str) -> str:
        """The benchmarks' own checks, and the room on the disk."""
        config = {
            "arms": [arm.name for arm in self.spec.arms],
            "benchmarks": self._benchmarks,
            "generation": self._generation,
        }
        needs = {"prepared": prepare}
        covers = self._resolved.covers("check", 0, config, needs, **_asked(self._benchmarks))
        return self._add(covers, "check", needs)

    def job(self, arm: ArmSpec, stage_name: str) -> dict[str, Any]:
        """What a training stage does: its method with its settings, and whose SFT data it takes."""
        stage = next(s for s in arm.stages if s.stage_name == stage_name)
        settings = stage_config(self.spec, stage)
        idle = OF_SEVERAL_DEVICES if settings.devices == 1 else ()
        config = settings.model_dump(mode="json", by_alias=True, exclude=set(idle))
        owns_sft_data = stage.method == "sft" and arm.sft_data is not None
        return {
            "method": stage.method,
            "config": config,
            "sft_data": arm.name if owns_sft_data else None,
        }

    def rehearse(self, job: dict[str, Any], users: Sequence[tuple[str, str]], needs: dict[str, str]) -> str:
        """A few steps of `job`; `needs` names the rehearsal before it where it goes on from adapters.

        `users` are the (arm, stage) that do this job; the first stage's name is the rehearsal's.
        """
        arms, stages = ([user[part] for user in users] for part in (0, 1))
        config = {"job": job, "steps": self.spec.rehearsal_steps}
        who = f"{arms[0]}/{stages[0]}"
        covers = self._training("rehearse", self.spec.seeds[0], config, job, needs, who)
        apart = {"stage": stages[0], "arms": arms, "stage_of_arm": stages}
        return self._add(covers, f"rehearse {stages[0]}", needs, apart=apart)

    def rehearse_evaluate(self, prepare: str) -> str:
        """A batch of answers and one of scored pairs by the base model, as every cell will make them; no
        judge is asked."""
        benchmarks = {name: _without_judge(config) for name, config in self._benchmarks.items()}
        form = self._form(BASE).model_dump(mode="json")
        config = {"benchmarks": benchmarks, "generation": self._generation, "form": form}
        needs = {"prepared": prepare}
        covers = self._resolved.covers("rehearse_evaluate", 0, config, needs, **_asked(benchmarks))
        apart = {"why_padded": self._why_padded} if self._why_padded else None
        return self._add(covers, "rehearse scoring", needs, apart=apart)

    @property
    def undecided(self) -> bool:
        """Whether a trial has to say which engine makes answers."""
        return bool(self._generation["engine"] == "auto")

    def decides(self, rehearsal: str | None) -> bool:
        """Whether a rehearsal of scoring says it."""
        stage = self.stages.get(rehearsal or "")
        return stage is not None and stage.config["generation"].get("engine") == "auto"

    def train(
        self,
        arm: ArmSpec,
        stage: str,
        seed: int,
        repeat: int,
        needs: dict[str, str],
        *,
        ends: EndRule | None = None,
    ) -> str:
        """One training stage of a cell; a repeat is a stage of its own, for its cost, and so is one that a
        rule may end."""
        config = job = self.job(arm, stage)
        name = f"{arm.name}/{stage}@{seed}"
        if repeat:
            name, config = f"{name}#{repeat}", {**job, "repeat": repeat}
        if ends is not None:
            config = {**config, "end_early": ends.model_dump(mode="json")}
        own_seed = seed + arm.seed_offset
        covers = self._training("train", own_seed, config, job, needs, f"{arm.name}/{stage}")
        return self._add(covers, name, needs, arm.name)

    def _training(
        self,
        kind: Literal["train", "rehearse"],
        seed: int,
        config: dict[str, Any],
        job: Mapping[str, Any],
        needs: Mapping[str, str],
        who: str,
    ) -> Covers:
        """What a training stage, or its rehearsal, covers: of the prepared data what training uses."""
        prepared = self.stages[needs["prepared"]].covers
        assert prepared is not None
        used = for_training(prepared, sft_data=job["sft_data"])
        is_stock = job["config"].get("implementation") == Implementation.STOCK
        return self._resolved.covers(
            kind,
            seed,
            config,
            {**needs, "prepared": used},
            plug_ins=[f"methods.{job['method']}", *([f"{STOCK}.{job['method']}"] if is_stock else [])],
            names=[who],
            beside={TEST_PAIRS: for_training(prepared, sft_data=None, reads_test=True)},
        )

    def evaluate(
        self,
        arm: str,
        seed: int,
        prepare: str,
        model: str | None,
        *,
        rehearsal: str | None,
        answers: Sequence[str] = (),
        exported: str | None = None,
    ) -> str:
        """The stage that scores a cell; what the stages `answers` answered is not asked again.

        A benchmark that only compares cells has its prompts answered here, and its judge is not asked. Where
        the engine of answers is not decided, `rehearsal` decides it for every cell. `model` may be an export:
        then `exported` is its form.
        """
        benchmarks = {n: self._without_idle_judge(n, c) for n, c in self._benchmarks.items()}
        config = {
            "benchmarks": benchmarks,
            "generation": self._generation,
            "form": (self._form(arm) if exported is None else self._whole(arm)).model_dump(mode="json"),
            **self._label,
            **({"exported": exported} if exported is not None else {}),
        }
        needs = {"prepared": prepare, **({"model": model} if model else {})}
        if rehearsal is not None and self.undecided:
            needs[DECIDED_BY] = rehearsal
        needs |= {f"answers:{number}": digest for number, digest in enumerate(answers)}
        name = f"{arm}/evaluate@{seed}" if model else "base/evaluate"
        name = f"{name} as {exported}" if exported is not None else name
        asked = _asked(benchmarks)
        if exported is not None:
            asked["plug_ins"].append(_form_root(exported))
        covers = self._resolved.covers("evaluate", 0, config, needs, **asked)
        return self._add(covers, name, needs, arm, apart={"benchmarks": self._benchmarks})

    def _form(self, arm: str) -> ModelForm:
        """How an arm's last stage held its weights; the base model is scored as the first arm's first was."""
        named = next((one for one in self.spec.arms if one.name == arm), None)
        stage = named.stages[-1] if named else self.spec.arms[0].stages[0]
        config = stage_config(self.spec, stage)
        return ModelForm(
            precision=config.precision,
            adapters=config.lora is not None,
            quantization=config.quantization,
        )

    def export(self, arm: str, seed: int, prepare: str, model: str, form: str) -> str:
        """The stage that writes what a stage trained as whole weights in a form, adapters folded in."""
        held = self._form(arm)
        config = {"form": form, "adapters": held.adapters, "precision": held.precision}
        needs = {"prepared": prepare, "model": model}
        covers = self._resolved.covers("export", 0, config, needs, plug_ins=[_form_root(form)])
        return self._add(covers, f"{arm}/export@{seed} as {form}", needs, arm)

    def speed(self, arm: str, seed: int, prepare: str, model: str, export: str, form: str) -> str:
        """The stage that takes the time of an export's answers, and of whole weights' beside it."""
        config = {**self.stages[export].config}
        needs = {"prepared": prepare, "model": model, "export": export}
        covers = self._resolved.covers("speed", 0, config, needs, plug_ins=[_form_root(form), "forms.full"])
        return self._add(covers, f"{arm}/speed@{seed} as {form}", needs, arm)

    def sample(self, arm: str, seed: int, prepare: str, model: str, asked: Mapping[str, Any]) -> str:
        """The stage that answers training prompts several times and has a judge grade them."""
        config = {
            **asked,
            "generation": self._generation,
            "form": self._form(arm).model_dump(mode="json"),
        }
        needs = {"prepared": prepare, "model": model}
        plug_ins = [f"judges.{asked['judge']}"]
        covers = self._resolved.covers("sample", seed, config, needs, plug_ins=plug_ins, names=[ITS_JUDGE])
        return self._add(covers, f"{arm}/sample@{seed}", needs, arm)

    def _whole(self, arm: str) -> ModelForm:
        """How an exported model is held: without adapters."""
        return self._form(arm).model_copy(update={"adapters": False})

    def judge(self, prepare: str, base: str | None, cells: Sequence[PlannedCell]) -> str | None:
        """The stage that compares cells, if some benchmark does."""
        judged = {n: c for n, c in self._benchmarks.items() if n in self._resolved.judged}
        if not judged:
            return None
        needs = {"prepared": prepare}
        if base:
            needs["cell:base"] = base
        for cell in cells:
            if cell.evaluate is not None:
                needs[f"cell:{cell.arm}@{cell.seed}"] = cell.evaluate
        config = {"benchmarks": judged, "baseline": self.spec.baseline, **self._label}
        covers = self._resolved.covers("judge", 0, config, needs, **_asked(judged))
        return self._add(covers, "judge", needs)

    def _without_idle_judge(self, name: str, config: Mapping[str, Any]) -> dict[str, Any]:
        """A benchmark's settings, without its judge where it only compares cells."""
        return dict(config) if name in self._resolved.scored else _without_judge(config)

    def _add(
        self,
        covers: Covers,
        name: str,
        needs: dict[str, str],
        arm: str | None = None,
        apart: Mapping[str, Any] | None = None,
    ) -> str:
        """A stage's digest; `apart` is recorded in its config and no part of what it is."""
        digest = digest_of_covers(covers)
        if digest not in self.stages:
            self.stages[digest] = PlannedStage(
                digest=digest,
                kind=covers.kind,
                name=name,
                seed=covers.seed,
                config={**covers.config, **(apart or {})},
                needs=needs,
                arm=arm,
                covers=covers,
            )
        return digest


def _form_root(form: str) -> str:
    return f"forms.{form.partition(':')[0]}"


def _stops_early(job: Mapping[str, Any]) -> bool:
    return job["config"].get("early_stopping") is not None


def _without_judge(config: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in config.items() if key not in JUDGE_KEYS}


def _asked(benchmarks: Mapping[str, Mapping[str, Any]]) -> Asked:
    """The benchmarks and judges whose code and files a stage with these settings uses."""
    judges = {name for name, _ in judges_in(benchmarks)}
    asking = [name for name, config in benchmarks.items() if any(True for _ in judges_in(config))]
    return {
        "plug_ins": [*(f"benchmarks.{n}" for n in benchmarks), *(f"judges.{n}" for n in sorted(judges))],
        "names": [*(f"benchmarks.{n}" for n in benchmarks), *(f"judges of {n}" for n in asking)],
    }
