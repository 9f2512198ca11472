"""A made comparison: three arms, two seeds, round figures."""

from __future__ import annotations

from typing import Any

from harness.evidence.view import ComparisonView
from harness.records import (
    ComparisonRecord,
    DataStatistics,
    DevicePeak,
    Environment,
    EvaluateFacts,
    Measurement,
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
SECONDS = {"sft": 10.0, "dpo": 30.0, "orpo": 25.0}
FLOPS = {"sft": 1e12, "dpo": 2.67e12, "orpo": 2e12, "pre": 2.67e12}
SECONDS["pre"] = 29.0
BODY = {"sft": 6.0, "dpo": 16.0, "orpo": 12.0, "pre": 16.0}
REFERENCE = {
    "dpo": ReferenceFacts(mode=ReferenceMode.IN_LOOP, holder=ReferenceHolder.COPY),
    "pre": ReferenceFacts(mode=ReferenceMode.PRECOMPUTED, holder=ReferenceHolder.NOWHERE),
}
MODES = {"dpo": "in_loop", "pre": "precomputed"}
SEQUENCES = {"sft": (1, 1, 0), "dpo": (4, 2, 0), "orpo": (2, 2, 0), "pre": (2, 2, 2)}
ARMS = {"sft": ["sft"], "sft_dpo": ["sft", "dpo"], "orpo": ["orpo"]}
CONTROL = {"sft_dpo_precomputed": ["sft", "pre"]}


def measured(quantity: str, value: float | None, unit: Any, reason: str | None = None) -> Measurement:
    return Measurement(quantity=quantity, value=value, unit=unit, scope="stage", source="made", reason=reason)


def trained(digest: str, name: str, seed: int, method: str) -> StageResult:
    slower = 1.0 + 0.1 * seed
    return StageResult(
        digest=digest,
        kind="train",
        name=name,
        seed=seed,
        started_at="2026-01-01T00:00:00",
        finished_at="2026-01-01T00:01:00",
        environment=ENVIRONMENT,
        ledger=[
            measured("wall_seconds", SECONDS[method] * slower, "s"),
            measured("train_seconds", SECONDS[method] * slower, "s"),
            *([measured("reference_seconds", 4.0 * slower, "s")] if method == "pre" else []),
            measured("peak_memory_bytes", (1 + len(method)) * 2**30, "B"),
            measured("host_growth_bytes", 2**29, "B"),
            measured("flops", FLOPS[method], "FLOP"),
            measured("body_flops", BODY[method], "FLOP"),
            measured("useful_flops", 0.8 * FLOPS[method], "FLOP"),
            measured(
                "reference_flops",
                0.67e12 if method in REFERENCE else None,
                "FLOP",
                None if method in REFERENCE else "this method has no reference model",
            ),
            measured("flops_theory", FLOPS[method], "FLOP"),
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
        facts=TrainFacts(
            sequences=SequenceFacts(
                forwarded_per_pair=SEQUENCES[method][0],
                with_gradient_per_pair=SEQUENCES[method][1],
                once_per_pair=SEQUENCES[method][2],
            ),
            tuning="full",
            reference=REFERENCE.get(method),
        ),
        outputs={"steps": "steps.jsonl"},
    )


def _scoring() -> list[Measurement]:
    return [
        *(measured(f"{phase}_seconds", 2.0, "s") for phase in ("generation", "scoring")),
        *(measured(f"{phase}_flops", 3e11, "FLOP") for phase in ("generation", "scoring")),
    ]


def rehearsed(method: str) -> StageResult:
    """A rehearsal whose time is 5% too long and whose FLOPs are right."""
    return trained(f"re-{method}", f"rehearse {method}", 0, method).model_copy(
        update={
            "kind": "rehearse",
            "ledger": [],
            "facts": RehearseFacts(
                prediction=_prediction(method),
                peak=DevicePeak(flops_per_second=1e12, source="measured GEMM", reason=None),
            ),
        }
    )


def _prediction(method: str) -> Prediction:
    return Prediction(
        steps=28,
        pairs=98,
        tokens_real=2_000,
        tokens_padded=2_500,
        flops=int(FLOPS[method]),
        flops_before=0,
        flops_theory=FLOPS[method],
        body_flops=BODY[method],
        useful_flops=0.8 * FLOPS[method],
        seconds=1.05 * SECONDS[method],
        seconds_low=SECONDS[method],
        seconds_high=1.1 * SECONDS[method],
        seconds_of_parts={"train": SECONDS[method]},
        timed_micro_batches=1,
        timed=TimedSteps(micro_batch_seconds=[1.0], micro_batch_flops=[1], around_seconds=[0.0]),
        checkpoint_bytes=2**20,
        host_growth_bytes=2**28,
    )


def make_record(
    *, seeds: tuple[int, ...] = (0, 1), random_weights: bool = False, full: bool = False
) -> ComparisonRecord:
    """`full` adds the control arm, the rehearsals and the user's factors."""
    facts = PREPARED.model_copy(update={"random_weights": random_weights})
    arms = {**ARMS, **(CONTROL if full else {})}
    results = {
        "prep": StageResult(
            digest="prep",
            kind="prepare",
            name="prepare",
            seed=0,
            started_at="2026-01-01T00:00:00",
            finished_at="2026-01-01T00:00:00",
            environment=ENVIRONMENT,
            facts=facts,
        )
    }
    cells = []
    for seed in seeds:
        for arm, stages in arms.items():
            method = stages[-1]
            results[f"{method}{seed}"] = trained(f"{method}{seed}", f"{arm}/{method}@{seed}", seed, method)
        for arm, stages in arms.items():
            results[f"ev-{arm}{seed}"] = results["prep"].model_copy(
                update={
                    "digest": f"ev-{arm}{seed}",
                    "kind": "evaluate",
                    "name": f"{arm}/evaluate@{seed}",
                    "facts": EvaluateFacts(answers=400),
                    "ledger": _scoring() if full else [],
                }
            )
            cells.append(
                PlannedCell(
                    arm=arm, seed=seed, stages=[f"{s}{seed}" for s in stages], evaluate=f"ev-{arm}{seed}"
                )
            )
    rehearsals = []
    for method in dict.fromkeys(m for found in arms.values() for m in found) if full else []:
        rehearsals.append(f"re-{method}")
        results[f"re-{method}"] = rehearsed(method)
    planned = {
        d: PlannedStage(digest=d, kind=r.kind, name=r.name, seed=r.seed, config=_config(d, arms))
        for d, r in results.items()
    }
    spec = {
        "arms": [{"name": a} for a in arms],
        "factors": {"price_per_device_hour": 3.6, "currency": "EUR"} if full else {},
        "seeds": list(seeds),
        "baseline": "sft",
        "cost_reference": "sft_dpo",
        "model": "m",
        "data": {"source": "pairs.jsonl"},
    }
    plan = Plan(
        id="made-0123456789",
        name="made",
        spec=spec,
        stages=planned,
        cells=cells,
        order=list(results),
        prepare="prep",
        rehearsals=rehearsals,
    )
    parity = [
        ParityCheck(check="data type", equal=True, detail="float32"),
        ParityCheck(check="tuning_trials", equal=None, detail="not stated"),
        ParityCheck(check="a|b_c", equal=False, detail="<script>alert(1)</script> & `x` 50%"),
    ]
    return ComparisonRecord(
        id=plan.id,
        name="made",
        created_at="2026-01-01",
        plan=plan,
        results=results,
        uses={d: StageUse(digest=d) for d in results},
        parity=parity,
        command="harness compare",
    )


def _config(digest: str, arms: dict[str, list[str]]) -> dict[str, Any]:
    """A stage's config; a rehearsal's names the job that its training stages have."""
    method = digest.removeprefix("re-").rstrip("0123456789")
    job = {
        "method": {"pre": "dpo"}.get(method, method),
        "config": {"learning_rate": 0.1, "reference": MODES.get(method)},
    }
    if digest.startswith("re-"):
        return {"job": job, "stage": method, "arms": [a for a, found in arms.items() if method in found]}
    return job


def make_view(
    *, seeds: tuple[int, ...] = (0, 1), random_weights: bool = False, full: bool = False
) -> ComparisonView:
    record = make_record(seeds=seeds, random_weights=random_weights, full=full)
    shares = {"sft": 0.4, "sft_dpo": 0.5, "orpo": 0.7, **({"sft_dpo_precomputed": 0.5} if full else {})}
    items = {
        f"{arm}@{seed}": {
            "preference.accuracy": {f"i{n}": float((n * 7 + seed) % 100 < 100 * share) for n in range(100)}
        }
        for arm, share in shares.items()
        for seed in seeds
    }
    items["base"] = {"preference.accuracy": {f"i{n}": float(n % 2) for n in range(100)}}
    series = {d: _series(d, r) for d, r in record.results.items() if r.kind == "train"}
    return ComparisonView(record, items, series)


def _series(digest: str, result: StageResult) -> list[dict[str, Any]]:
    """Probes at three steps; ORPO starts slower and ends higher."""
    method = digest.rstrip("0123456789")
    start, rise = {"sft": (0.5, 0.1), "orpo": (0.5, 0.3)}.get(method, (0.6, 0.15))
    rows = []
    for step in (0, 14, 28):
        done = step / 28
        metrics = {
            "probe_logp_chosen": -1 + step / 100,
            "probe_logp_rejected": -1 - step / 100,
            "probe_log_odds_margin": step / 50,
            "probe_preference_accuracy": start + rise * (done**2 if method == "orpo" else done),
            "elapsed_seconds": 1 + done * (SECONDS[method] - 1.5),
            "elapsed_flops": done * FLOPS[method],
        }
        rows.append({"step": step, "metrics": metrics})
    return rows


def foretold(**changes: Any) -> Prediction:
    """A prediction of which only `changes` are read."""
    nothing = {name: 0 for name, field in Prediction.model_fields.items() if field.is_required()}
    timed = {"micro_batch_seconds": [], "micro_batch_flops": [], "around_seconds": []}
    return Prediction.model_validate({**nothing, "seconds_of_parts": {}, "timed": timed, **changes})
