"""A made comparison: three arms, two seeds, round figures."""

from __future__ import annotations

from typing import Any

from harness.evidence.view import ComparisonView
from harness.records import (
    ComparisonRecord,
    Environment,
    Measurement,
    ParityCheck,
    Plan,
    PlannedCell,
    PlannedStage,
    StageResult,
    StageUse,
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
SPLIT = {
    "pairs_read": 100,
    "pairs_kept": 98,
    "dropped": {"chosen = rejected": 2},
    "truncated": 0,
    "distinct_prompts": 100,
    "duplicate_pairs": 0,
    "empty_answers": 0,
    "unknown_token_share": 0.0,
    "chosen_longer_share": 0.5,
    **{
        f"{n}_tokens": {"p5": 1, "median": 5, "p95": 9, "max": 11, "mean": 5}
        for n in ("prompt", "chosen", "rejected")
    },
}
PREPARED = {
    "statistics": {
        "test_origin": "by hand",
        "train": SPLIT,
        "test": SPLIT,
        "test_pairs_whose_prompt_is_in_train": 0,
    },
    "random_weights": False,
    "source": "pairs.jsonl",
    "train_pairs": 98,
    "test_pairs": 98,
    "train_ids_digest": "d1",
    "sft_data": {},
}
SECONDS = {"sft": 10.0, "dpo": 30.0, "orpo": 25.0}
FLOPS = {"sft": 1e12, "dpo": 2.67e12, "orpo": 2e12}


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
            measured("peak_memory_bytes", (1 + len(method)) * 2**30, "B"),
            measured("flops", FLOPS[method], "FLOP"),
            measured("flops_theory", FLOPS[method], "FLOP"),
            measured("energy_joules", None, "J", "no CUDA device"),
            measured("steps", 28, "step"),
        ],
        facts={
            "sequences_forwarded_per_pair": {"sft": 1, "dpo": 4, "orpo": 2}[method],
            "reference": "in_loop" if method == "dpo" else None,
            "flops_unknown_ops": [],
        },
        outputs={"steps": "steps.jsonl"},
    )


def make_record(*, seeds: tuple[int, ...] = (0, 1), random_weights: bool = False) -> ComparisonRecord:
    facts = {**PREPARED, "random_weights": random_weights}
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
        for method, arm in (("sft", "sft"), ("dpo", "sft_dpo"), ("orpo", "orpo")):
            results[f"{method}{seed}"] = trained(f"{method}{seed}", f"{arm}/{method}@{seed}", seed, method)
        for arm, stages in (("sft", ["sft"]), ("sft_dpo", ["sft", "dpo"]), ("orpo", ["orpo"])):
            results[f"ev-{arm}{seed}"] = results["prep"].model_copy(
                update={
                    "digest": f"ev-{arm}{seed}",
                    "kind": "evaluate",
                    "name": f"{arm}/evaluate@{seed}",
                    "facts": {},
                }
            )
            cells.append(
                PlannedCell(
                    arm=arm, seed=seed, stages=[f"{s}{seed}" for s in stages], evaluate=f"ev-{arm}{seed}"
                )
            )
    stages = {
        d: PlannedStage(
            digest=d,
            kind=r.kind,
            name=r.name,
            seed=r.seed,
            config={"method": "m", "config": {"learning_rate": 0.1}},
        )
        for d, r in results.items()
    }
    spec = {
        "arms": [{"name": a} for a in ("sft", "sft_dpo", "orpo")],
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
        stages=stages,
        cells=cells,
        order=list(results),
        prepare="prep",
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


def make_view(*, seeds: tuple[int, ...] = (0, 1), random_weights: bool = False) -> ComparisonView:
    record = make_record(seeds=seeds, random_weights=random_weights)
    shares = {"sft": 0.4, "sft_dpo": 0.5, "orpo": 0.7}
    items = {
        f"{arm}@{seed}": {
            "preference.accuracy": {f"i{n}": float((n * 7 + seed) % 100 < 100 * share) for n in range(100)}
        }
        for arm, share in shares.items()
        for seed in seeds
    }
    items["base"] = {"preference.accuracy": {f"i{n}": float(n % 2) for n in range(100)}}
    rows = [
        {
            "step": s,
            "metrics": {
                "probe_logp_chosen": -1 + s / 100,
                "probe_logp_rejected": -1 - s / 100,
                "probe_log_odds_margin": s / 50,
            },
        }
        for s in (0, 14, 28)
    ]
    series = {d: rows for d, r in record.results.items() if r.kind == "train"}
    return ComparisonView(record, items, series)
