"""A made comparison: three arms or others, two seeds, round figures."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from harness.evidence.view import ComparisonView
from harness.records import (
    ComparisonRecord,
    DataStatistics,
    DevicePeak,
    Environment,
    EvaluateFacts,
    HeadFacts,
    HeadKind,
    Implementation,
    Measurement,
    Method,
    ParityCheck,
    Plan,
    PlannedCell,
    PlannedStage,
    Prediction,
    PrepareFacts,
    Quantiles,
    ReferenceFacts,
    ReferenceHolder,
    ReferenceMode,
    RehearseFacts,
    SequenceFacts,
    SplitStatistics,
    StageResult,
    StageUse,
    TimedSteps,
    TrainFacts,
)
from harness.records.citation import entry

ENVIRONMENT = Environment(
    device="cpu",
    device_name="a CPU",
    cpu_count=2,
    host_memory_bytes=1 << 34,
    python="3.11.0",
    versions={"torch": "2.13.0"},
    git_commit="c0ffee" * 6,
    git_dirty=False,
    lock_digest="10cd",
)
LENGTHS = Quantiles(p5=1, median=5, p95=9, max=11, mean=5)
SPLIT = SplitStatistics(
    pairs_read=100,
    pairs_kept=98,
    dropped={"chosen = rejected": 2},
    truncated=0,
    distinct_prompts=100,
    duplicate_pairs=0,
    empty_answers=0,
    unknown_token_share=0.0,
    chosen_longer_share=0.5,
    prompt_tokens=LENGTHS,
    chosen_tokens=LENGTHS,
    rejected_tokens=LENGTHS,
)
PREPARED = PrepareFacts(
    source="pairs.jsonl",
    random_weights=False,
    train_pairs=98,
    test_pairs=98,
    train_ids_digest="d1",
    statistics=DataStatistics(
        test_origin="by hand", train=SPLIT, test=SPLIT, test_pairs_whose_prompt_is_in_train=0
    ),
)


IN_LOOP = ReferenceFacts(mode=ReferenceMode.IN_LOOP, holder=ReferenceHolder.COPY)
BEFORE = ReferenceFacts(mode=ReferenceMode.PRECOMPUTED, holder=ReferenceHolder.NOWHERE)


def _about(title: str, key: str, *, sequences: int = 2, reference: bool = False) -> Method:
    data: Literal["chosen", "pairs"] = "chosen" if sequences == 1 else "pairs"
    cites = (entry("misc", key, title=f"What {key} says"),)
    return Method(title=title, cites=cites, data=data, reference=reference, sequences_per_pair=sequences)


ABOUT = {
    "sft": _about("SFT", "ouyang2022", sequences=1),
    "dpo": _about("DPO", "rafailov2023", reference=True),
    "orpo": _about("ORPO", "hong2024"),
    "simpo": _about("SimPO", "meng2024"),
}


@dataclass(frozen=True)
class Made:
    """One kind of training stage: its method, what it costs and what it reaches.

    `sequences` are forwarded in the steps, with a gradient, and once before them. `probes` are held-out
    accuracy at the start and its rise; `share` of the test items are right at the end.
    """

    method: str
    seconds: float
    flops: float
    body: float
    sequences: tuple[int, int, int]
    share: float
    probes: tuple[float, float] = (0.5, 0.3)
    reference: ReferenceFacts | None = None
    nll_scope: str | None = "response"
    implementation: Implementation = Implementation.MATCHED


STAGES = {
    "sft": Made("sft", 10.0, 1e12, 6.0, (1, 1, 0), 0.4, (0.5, 0.1)),
    "dpo": Made("dpo", 30.0, 2.67e12, 16.0, (4, 2, 0), 0.5, (0.6, 0.15), IN_LOOP, None),
    "pre": Made("dpo", 29.0, 2.67e12, 16.0, (2, 2, 2), 0.5, (0.6, 0.15), BEFORE, None),
    "orpo": Made("orpo", 25.0, 2e12, 12.0, (2, 2, 0), 0.7),
    "whole": Made("orpo", 26.0, 2.2e12, 12.0, (2, 2, 0), 0.65, nll_scope="prompt+response"),
    "stock": Made("orpo", 40.0, 2.4e12, 12.0, (2, 2, 0), 0.7, implementation=Implementation.STOCK),
    "simpo": Made("simpo", 20.0, 2e12, 12.0, (2, 2, 0), 0.6, nll_scope=None),
}
SECONDS = {kind: made.seconds for kind, made in STAGES.items()}
FLOPS = {kind: made.flops for kind, made in STAGES.items()}
Arms = Mapping[str, Sequence[str]]
"""Arm -> its kinds of stage; a kind ends one arm alone."""

ARMS: Arms = {"sft": ["sft"], "sft_dpo": ["sft", "dpo"], "orpo": ["orpo"]}
CONTROL: Arms = {"sft_dpo_precomputed": ["sft", "pre"]}


def measured(quantity: str, value: float | None, unit: Any, reason: str | None = None) -> Measurement:
    return Measurement(quantity=quantity, value=value, unit=unit, scope="stage", source="made", reason=reason)


def trained(digest: str, name: str, seed: int, kind: str) -> StageResult:
    slower, made = 1.0 + 0.1 * seed, STAGES[kind]
    return StageResult(
        digest=digest,
        kind="train",
        name=name,
        seed=seed,
        started_at="2026-01-01T00:00:00",
        finished_at="2026-01-01T00:01:00",
        environment=ENVIRONMENT,
        ledger=[
            measured("wall_seconds", made.seconds * slower, "s"),
            measured("train_seconds", made.seconds * slower, "s"),
            *([measured("reference_seconds", 4.0 * slower, "s")] if made.reference == BEFORE else []),
            measured("peak_memory_bytes", (1 + len(kind)) * 2**30, "B"),
            measured("host_growth_bytes", 2**29, "B"),
            measured("flops", made.flops, "FLOP"),
            measured("body_flops", made.body, "FLOP"),
            measured("useful_flops", 0.8 * made.flops, "FLOP"),
            measured(
                "reference_flops",
                0.67e12 if made.reference else None,
                "FLOP",
                None if made.reference else "this method has no reference model",
            ),
            measured("flops_theory", made.flops, "FLOP"),
            measured("energy_joules", None, "J", "no CUDA device"),
            measured("steps", 28, "step"),
            measured("tokens_real", 2_000, "token"),
            measured("tokens_padded", 2_500, "token"),
            measured("cpu_steal_share", 0.001, "1"),
            measured("other_cpu_share", 0.01, "1"),
            measured("throttled_share", None, "1", "no GPU was sampled"),
            measured("swapped_bytes", 0, "B"),
            measured("sampler_cpu_seconds", 0.0, "s"),
        ],
        facts=_facts(made),
        outputs={"steps": "steps.jsonl"},
    )


def _facts(made: Made) -> TrainFacts:
    forwarded, with_gradient, once = made.sequences
    return TrainFacts(
        about=ABOUT[made.method],
        implementation=made.implementation,
        head=HeadFacts(kind=HeadKind.CHUNKED),
        nll_scope=made.nll_scope,
        sequences=SequenceFacts(
            forwarded_per_pair=forwarded, with_gradient_per_pair=with_gradient, once_per_pair=once
        ),
        tuning="full",
        reference=made.reference,
    )


def _scoring() -> list[Measurement]:
    return [
        *(measured(f"{phase}_seconds", 2.0, "s") for phase in ("generation", "scoring")),
        *(measured(f"{phase}_flops", 3e11, "FLOP") for phase in ("generation", "scoring")),
    ]


def rehearsed(kind: str) -> StageResult:
    """A rehearsal whose time is 5% too long and whose FLOPs are right."""
    peak = DevicePeak(flops_per_second=1e12, source="measured GEMM", reason=None)
    facts = RehearseFacts(prediction=_prediction(STAGES[kind]), peak=peak)
    update = {"kind": "rehearse", "ledger": [], "facts": facts}
    return trained(f"re-{kind}", f"rehearse {kind}", 0, kind).model_copy(update=update)


def _prediction(made: Made) -> Prediction:
    return Prediction(
        steps=28,
        pairs=98,
        tokens_real=2_000,
        tokens_padded=2_500,
        flops=int(made.flops),
        flops_before=0,
        flops_theory=made.flops,
        body_flops=made.body,
        useful_flops=0.8 * made.flops,
        seconds=1.05 * made.seconds,
        seconds_low=made.seconds,
        seconds_high=1.1 * made.seconds,
        seconds_of_parts={"train": made.seconds},
        timed_micro_batches=1,
        timed=TimedSteps(micro_batch_seconds=[1.0], micro_batch_flops=[1], around_seconds=[0.0]),
        checkpoint_bytes=2**20,
        host_growth_bytes=2**28,
    )


def make_record(
    *,
    seeds: tuple[int, ...] = (0, 1),
    random_weights: bool = False,
    full: bool = False,
    arms: Arms = ARMS,
    **spec: Any,
) -> ComparisonRecord:
    """`full` adds the control arm, the rehearsals and the user's factors; `spec` goes over the plan's."""
    arms = {**arms, **(CONTROL if full else {})}
    results = {"prep": _prepared(random_weights)}
    cells = []
    for seed in seeds:
        for arm, kind in ((arm, kind) for arm, kinds in arms.items() for kind in kinds):
            digest = f"{kind}{seed}"
            if digest not in results:
                results[digest] = trained(digest, f"{arm}/{kind}@{seed}", seed, kind)
        for arm, kinds in arms.items():
            scored = f"ev-{arm}{seed}"
            results[scored] = _evaluated(scored, f"{arm}/evaluate@{seed}", full=full)
            stages = [f"{kind}{seed}" for kind in kinds]
            cells.append(PlannedCell(arm=arm, seed=seed, stages=stages, evaluate=scored))
    kinds_used = dict.fromkeys(kind for kinds in arms.values() for kind in kinds)
    rehearsals = [f"re-{kind}" for kind in kinds_used] if full else []
    results |= {digest: rehearsed(digest.removeprefix("re-")) for digest in rehearsals}
    plan = Plan(
        id="made-0123456789",
        name="made",
        spec={
            "arms": [{"name": arm} for arm in arms],
            "factors": {"price_per_device_hour": 3.6, "currency": "EUR"} if full else {},
            "seeds": list(seeds),
            "baseline": "sft",
            "cost_reference": "sft_dpo",
            "model": "m",
            "data": {"source": "pairs.jsonl"},
            **spec,
        },
        stages={
            digest: PlannedStage(
                digest=digest, kind=r.kind, name=r.name, seed=r.seed, config=_config(digest, arms)
            )
            for digest, r in results.items()
        },
        cells=cells,
        order=list(results),
        prepare="prep",
        rehearsals=rehearsals,
    )
    return ComparisonRecord(
        id=plan.id,
        name="made",
        created_at="2026-01-01",
        plan=plan,
        results=results,
        uses={digest: StageUse(digest=digest) for digest in results},
        parity=[
            ParityCheck(check="data type", equal=True, detail="float32"),
            ParityCheck(check="tuning_trials", equal=None, detail="not stated"),
            ParityCheck(check="a|b_c", equal=False, detail="<script>alert(1)</script> & `x` 50%"),
        ],
        command="harness compare",
    )


def _prepared(random_weights: bool) -> StageResult:
    return StageResult(
        digest="prep",
        kind="prepare",
        name="prepare",
        seed=0,
        started_at="2026-01-01T00:00:00",
        finished_at="2026-01-01T00:00:00",
        environment=ENVIRONMENT,
        facts=PREPARED.model_copy(update={"random_weights": random_weights}),
    )


def _evaluated(digest: str, name: str, *, full: bool) -> StageResult:
    update = {
        "digest": digest,
        "kind": "evaluate",
        "name": name,
        "facts": EvaluateFacts(answers=400),
        "ledger": _scoring() if full else [],
    }
    return _prepared(False).model_copy(update=update)


def _config(digest: str, arms: Arms) -> dict[str, Any]:
    """A stage's config; a rehearsal's names the job that its training stages have."""
    kind = digest.removeprefix("re-").rstrip("0123456789")
    made = STAGES.get(kind)
    mode = made.reference.mode.value if made and made.reference else None
    job = {
        "method": made.method if made else kind,
        "config": {"learning_rate": 0.1, "reference": mode},
    }
    if digest.startswith("re-"):
        return {"job": job, "stage": kind, "arms": [arm for arm, kinds in arms.items() if kind in kinds]}
    return job


def make_view(
    *,
    seeds: tuple[int, ...] = (0, 1),
    random_weights: bool = False,
    full: bool = False,
    arms: Arms = ARMS,
    **spec: Any,
) -> ComparisonView:
    record = make_record(seeds=seeds, random_weights=random_weights, full=full, arms=arms, **spec)
    shares = {arm: STAGES[kinds[-1]].share for arm, kinds in {**arms, **(CONTROL if full else {})}.items()}
    items = {
        f"{arm}@{seed}": {
            "preference.accuracy": {f"i{n}": float((n * 7 + seed) % 100 < 100 * share) for n in range(100)}
        }
        for arm, share in shares.items()
        for seed in seeds
    }
    items["base"] = {"preference.accuracy": {f"i{n}": float(n % 2) for n in range(100)}}
    series = {d: _series(d) for d, r in record.results.items() if r.kind == "train"}
    return ComparisonView(record, items, series)


def _series(digest: str) -> list[dict[str, Any]]:
    """Probes at three steps; stages that start with the base model start slower."""
    made = STAGES[digest.rstrip("0123456789")]
    start, rise = made.probes
    rows = []
    for step in (0, 14, 28):
        done = step / 28
        slow = made.probes == (0.5, 0.3)
        metrics = {
            "probe_logp_chosen": -1 + step / 100,
            "probe_logp_rejected": -1 - step / 100,
            "probe_log_odds_margin": step / 50,
            "probe_preference_accuracy": start + rise * (done**2 if slow else done),
            "elapsed_seconds": 1 + done * (made.seconds - 1.5),
            "elapsed_flops": done * made.flops,
        }
        rows.append({"step": step, "metrics": metrics})
    return rows


def foretold(**changes: Any) -> Prediction:
    """A prediction of which only `changes` are read."""
    nothing = {name: 0 for name, field in Prediction.model_fields.items() if field.is_required()}
    timed: dict[str, list[float]] = {"micro_batch_seconds": [], "micro_batch_flops": [], "around_seconds": []}
    return Prediction.model_validate({**nothing, "seconds_of_parts": {}, "timed": timed, **changes})


@dataclass(frozen=True)
class On:
    """A device: its kind, which one, and what it makes of a stage's seconds."""

    kind: str
    uuid: str
    factor: float = 1.0

    def ran(self, stage: StageResult, noise: float = 1.0) -> StageResult:
        """The stage as it is on this device, with energy of 100 W."""
        environment = stage.environment.model_copy(
            update={
                "device": "cuda",
                "device_name": self.kind,
                "gpu_uuid": self.uuid,
                "node": f"node of {self.uuid}",
                "driver": "570.1",
                "details": {"sm_clock_limit_mhz": 1980, "power_limit_watts": 700.0},
            }
        )
        ledger = [self._slower(one, noise) for one in stage.ledger if one.quantity != "energy_joules"]
        wall = next((one.value for one in ledger if one.quantity == "wall_seconds"), None)
        joules = [] if wall is None else [measured("energy_joules", 100 * wall, "J")]
        return stage.model_copy(update={"environment": environment, "ledger": [*ledger, *joules]})

    def _slower(self, one: Measurement, noise: float) -> Measurement:
        if one.unit != "s" or one.value is None:
            return one
        return one.model_copy(update={"value": one.value * self.factor * noise})


def on_fleet(
    view: ComparisonView,
    of_seeds: Mapping[int, On],
    moved: Mapping[str, On] | None = None,
    spread: float = 0.0,
) -> ComparisonView:
    """The view with every seed's training on its device, those of `moved` (by digest) on another; `spread` is
    the standard deviation of the logarithm of a stage's seconds."""
    chance = random.Random(0)
    results = {
        digest: (
            {**(moved or {})}.get(digest, of_seeds[result.seed]).ran(result, chance.lognormvariate(0, spread))
            if result.kind == "train"
            else result
        )
        for digest, result in view.record.results.items()
    }
    return replace(view, record=view.record.model_copy(update={"results": results}))
