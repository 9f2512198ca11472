"""Deliberate breaks of parity: each is caught, named, and breaks nothing else."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from synthetic import ENVIRONMENT, foretold

from harness.pipeline.load import find_comparison, load_comparison
from harness.pipeline.overrides import Overrides
from harness.pipeline.parity import CHECKS, audit, audit_before, violations
from harness.pipeline.plan import plan_comparison
from harness.pipeline.resolved import Reach, Resolved
from harness.records import (
    ComparisonRecord,
    ParityCheck,
    Plan,
    RehearseFacts,
    StageResult,
    TrainFacts,
)

RESOLVED = Resolved(reach={"stages.child": Reach(packages={"torch": "2.13.0"})})
FIXTURE = Path(__file__).parents[2] / "fixtures" / "records_v1" / "record.json"
TWO_DEVICES = {"devices": 2, "how": "ddp", "ranks": []}
State = dict[str, Any]


def batches(method: str, seed: int) -> dict[str, Any]:
    pairwise = method != "sft"
    return {
        "pairs": 896,
        "chosen_ids": f"chosen-{seed}",
        "chosen_scored": f"scored-{seed}",
        "rejected_ids": f"rejected-{seed}" if pairwise else None,
        "stop_learned": 1.0,
        "doubled_bos": 0,
        "longest_chosen": 60,
        "longest_rejected": 64 if pairwise else None,
        "tokens_real": 40_000 if pairwise else 20_000,
        "tokens_padded": 50_000 if pairwise else 24_000,
        "padding": "right",
    }


def reference(weights: str | None) -> dict[str, Any]:
    return {"mode": "in_loop", "holder": "frozen_copy", "weights": weights}


def facts(method: str, seed: int, start: str, end: str) -> dict[str, Any]:
    return {
        "kind": "train",
        "implementation": "matched",
        "dtype": "bfloat16",
        "updates": {"moved_share": 0.013, "relative_norm": 1e-4},
        "quantization": "none",
        "attention": "sdpa",
        "optimizer": "adamw_torch, betas 0.9 0.999",
        "schedule": "cosine, warm-up 0.1",
        "learning_rate_source": "config",
        "epochs": 1.0,
        "max_steps": None,
        "seed": seed,
        "tokenizer_digest": "tok",
        "chat_template_digest": "tpl",
        "effective_batch_pairs": 32,
        "micro_batch_pairs": 16,
        "gradient_checkpointing": False,
        "tuning": "full",
        "lora": None,
        "nll_scope": None if method == "dpo" else "response",
        "head": {"kind": "chunked"},
        "layout": {"flat": True, "shared_prompt": True},
        "reference": reference(start) if method == "dpo" else None,
        "weights_at_start": start,
        "weights_at_end": end,
        "max_length": 64,
        "ids_in_order": f"order-{seed}",
        "batches": batches(method, seed),
    }


SPLIT = {
    "pairs_read": 896,
    "pairs_kept": 896,
    "truncated": 3,
    "distinct_prompts": 896,
    "duplicate_pairs": 0,
    "empty_answers": 0,
}
SFT_DATA = {"source": "own.jsonl", "available": 9, "kept": 9, "truncated": 0}
PREPARED: dict[str, Any] = {
    "kind": "prepare",
    "source": "pairs.jsonl",
    "random_weights": False,
    "train_pairs": 896,
    "test_pairs": 90,
    "train_ids_digest": "ids",
    "tokenizer_digest": "tok",
    "chat_template_digest": "tpl",
    "chat_template_source": "tokenizer",
    "sft_data": {},
    "statistics": {
        "test_origin": "by hand",
        "train": SPLIT,
        "test": SPLIT,
        "test_pairs_whose_prompt_is_in_train": 0,
    },
}


def good() -> State:
    """Everything equal: prepared data, checks, rehearsals and two seeds of three arms."""
    spec = load_comparison(
        find_comparison("embedded", model=None),
        Overrides(
            seeds="2", sets=("search_space={sft: {lr: [1, 2]}, sft_dpo: {lr: [1, 2]}, orpo: {lr: [1, 2]}}",)
        ),
    )
    plan = plan_comparison(spec, RESOLVED)
    stages: dict[str, dict[str, Any]] = {
        plan.prepare: copy.deepcopy(PREPARED),
        str(plan.check): {"kind": "check", "benchmark_prompts_in_train": {"alpaca_eval": 0}},
    }
    for digest in plan.rehearsals:
        stages[digest] = facts(plan.stages[digest].config["stage"], 0, "base", "anything")
        if plan.stages[digest].config["stage"] == "dpo":
            stages[digest].update(weights_at_start="base", reference=reference("base"))
    for cell in plan.cells:
        start = "base"
        for digest in cell.stages:
            method = plan.stages[digest].config["method"]
            end = f"{method}-{cell.seed}"
            stages[digest] = facts(method, cell.seed, start, end)
            start = end
    return {"plan": plan.model_dump(), "facts": stages, "environment": {}, "predictions": {}}


def facts_of(state: State, digest: str, kind: str) -> Any:
    facts = state["facts"][digest]
    if kind != "rehearse":
        return facts
    return RehearseFacts(stage=TrainFacts.model_validate(facts), prediction=state["predictions"].get(digest))


def run(state: State, *, before: bool) -> list[ParityCheck]:
    plan = Plan.model_validate(state["plan"])
    results = {}
    for digest, stage in plan.stages.items():
        if digest not in state["facts"] or (before and stage.kind == "train"):
            continue
        environment = {"gpu_uuid": "GPU-1", "git_commit": "c0ffee", "git_dirty": False, "lock_digest": "l"}
        environment |= state["environment"].get(digest, {})
        results[digest] = StageResult(
            digest=digest,
            kind=stage.kind,
            name=stage.name,
            seed=stage.seed,
            started_at="2026-01-01T00:00:00",
            finished_at="2026-01-01T00:00:00",
            environment=ENVIRONMENT.model_copy(update=environment),
            facts=facts_of(state, digest, stage.kind),
        )
    probed = dict.fromkeys(results, "test pairs")
    return audit_before(plan, results) if before else audit(plan, results, probed)


def stages_of(state: State, method: str) -> list[str]:
    """Digests of a method's rehearsal and training stages."""
    plan = state["plan"]["stages"]
    found = []
    for digest, stage in plan.items():
        job = stage["config"].get("job", stage["config"])
        if stage["kind"] in ("rehearse", "train") and job["method"] == method:
            found.append(digest)
    return found


def put(method: str, **changes: Any) -> Callable[[State], None]:
    """Change facts of every stage of `method`."""

    def mutate(state: State) -> None:
        for digest in stages_of(state, method):
            state["facts"][digest].update(changes)

    return mutate


def batch(method: str, **changes: Any) -> Callable[[State], None]:
    """Change what the data loader of `method` yields."""

    def mutate(state: State) -> None:
        for digest in stages_of(state, method):
            state["facts"][digest]["batches"].update(changes)

    return mutate


def prepared(**changes: Any) -> Callable[[State], None]:
    def mutate(state: State) -> None:
        state["facts"][state["plan"]["prepare"]].update(changes)

    return mutate


def statistics(**changes: Any) -> Callable[[State], None]:
    def mutate(state: State) -> None:
        state["facts"][state["plan"]["prepare"]]["statistics"].update(changes)

    return mutate


def spec(**changes: Any) -> Callable[[State], None]:
    return lambda state: state["plan"]["spec"].update(changes)


def environment(**changes: Any) -> Callable[[State], None]:
    def mutate(state: State) -> None:
        for digest in stages_of(state, "orpo"):
            state["environment"][digest] = changes

    return mutate


def both(*mutations: Callable[[State], None]) -> Callable[[State], None]:
    def mutate(state: State) -> None:
        for one in mutations:
            one(state)

    return mutate


def one_other_seed(state: State) -> None:
    """An ORPO cell trained with another seed than SFT then DPO."""
    cell = next(c for c in state["plan"]["cells"] if c["arm"] == "orpo")
    cell["seed"] = 7


def stage_with_another_seed(state: State) -> None:
    state["plan"]["stages"][stages_of(state, "dpo")[-1]]["seed"] = 7


def dpo_from_the_base(state: State) -> None:
    """DPO forgets SFT: it starts from the base model and is compared with it."""
    for digest in stages_of(state, "dpo"):
        state["facts"][digest].update(weights_at_start="base", reference=reference("base"))


def benchmark_in_training(state: State) -> None:
    state["facts"][state["plan"]["check"]]["benchmark_prompts_in_train"] = {"alpaca_eval": 4}


STOCK = both(
    put("orpo", implementation="trl", nll_scope="prompt+response", head={"kind": "full logits"}),
    put("orpo", layout={"flat": False, "shared_prompt": False}),
    batch(
        "orpo",
        chosen_ids="one token more",
        chosen_scored="all",
        rejected_ids="one token more",
        longest_chosen=61,
        tokens_real=41_792,
        tokens_padded=52_000,
    ),
)
STOCK_CHECKS = {
    "implementation",
    "nll_scope",
    "chosen_token_ids",
    "rejected_token_ids",
    "scored_positions",
    "longest_sequence",
    "tokens_real",
    "tokens_padded",
    "head",
    "layout",
}
LORA = {"r": 16, "alpha": 32, "dropout": 0.0, "target_modules": "all-linear"}

# name, mutation, the checks that it must break, and whether it is known before training
TABLE: list[tuple[str, Callable[[State], None], set[str], bool]] = [
    ("an arm at another seed", one_other_seed, {"seeds"}, True),
    ("a stage at another seed", stage_with_another_seed, {"seeds"}, True),
    (
        "one dropped pair",
        batch("orpo", pairs=895, chosen_ids="x", chosen_scored="y", rejected_ids="z", tokens_real=39_950),
        {
            "pair_count",
            "dropped_and_truncated",
            "chosen_token_ids",
            "scored_positions",
            "rejected_token_ids",
            "tokens_real",
        },
        True,
    ),
    ("another order of pairs", put("orpo", ids_in_order="other"), {"pairs_in_order"}, True),
    ("other chosen tokens", batch("dpo", chosen_ids="x"), {"chosen_token_ids"}, True),
    ("chosen and rejected swapped in one arm", batch("dpo", rejected_ids="x"), {"rejected_token_ids"}, True),
    ("doubled BOS", batch("sft", doubled_bos=896), {"doubled_bos"}, True),
    (
        "EOS masked because pad = EOS",
        batch("sft", stop_learned=0.0, chosen_scored="without EOS"),
        {"stop_token_learned", "scored_positions"},
        True,
    ),
    (
        "other truncation",
        batch("orpo", longest_chosen=48, chosen_ids="cut", chosen_scored="cut", tokens_real=30_000),
        {"longest_sequence", "chosen_token_ids", "scored_positions", "tokens_real"},
        True,
    ),
    ("other max_length", put("orpo", max_length=48), {"max_length"}, True),
    ("other effective batch", put("orpo", effective_batch_pairs=64), {"effective_batch"}, True),
    ("other micro-batch", put("orpo", micro_batch_pairs=8), {"micro_batch"}, True),
    ("other precision", put("dpo", precision="float32"), {"precision"}, True),
    ("quantised weights in one arm", put("dpo", quantization="4bit"), {"quantization"}, True),
    ("other attention", put("orpo", attention="eager"), {"attention"}, True),
    ("other chat template", put("orpo", chat_template_digest="other"), {"tokenizer_and_template"}, True),
    ("other tokenizer", put("dpo", tokenizer_digest="other"), {"tokenizer_and_template"}, True),
    ("a trainer with another seed", put("orpo", seed=7), {"seeds"}, False),
    ("fewer steps in one arm", put("orpo", max_steps=5), {"budget"}, True),
    (
        "learning rate from the library",
        put("orpo", learning_rate_source="library default"),
        {"learning_rate_source"},
        True,
    ),
    (
        "test prompts in training",
        statistics(test_pairs_whose_prompt_is_in_train=5),
        {"test_prompts_in_training"},
        True,
    ),
    (
        "test prompts in an arm's SFT data",
        both(
            prepared(sft_data={"sft_dpo": "ultrachat"}),
            statistics(sft_data={"sft_dpo": {**SFT_DATA, "test_pairs_whose_prompt_is_in_it": 2}}),
        ),
        {"test_prompts_in_training", "sft_source"},
        True,
    ),
    ("benchmark prompts in training", benchmark_in_training, {"benchmark_prompts_in_training"}, True),
    ("SFT on other data", prepared(sft_data={"sft_dpo": "ultrachat"}), {"sft_source"}, True),
    (
        "reference = base after SFT with LoRA",
        both(
            *(put(m, tuning="lora", lora=LORA) for m in ("sft", "dpo", "orpo")),
            put("dpo", reference=reference("the base")),
        ),
        {"reference_is_start"},
        True,
    ),
    ("DPO from the base instead of SFT's end", dpo_from_the_base, {"hand_over"}, False),
    ("other base weights", put("orpo", weights_at_start="other base"), {"base_weights"}, True),
    ("other optimizer", put("dpo", optimizer="adamw_8bit"), {"optimizer"}, True),
    ("other schedule", put("dpo", schedule="linear, warm-up 0.1"), {"schedule"}, True),
    (
        "checkpointing in one arm",
        put("orpo", gradient_checkpointing=True),
        {"gradient_checkpointing"},
        True,
    ),
    ("LoRA in one arm", put("orpo", tuning="lora", lora=LORA), {"tuning"}, True),
    (
        "another LoRA rank",
        both(
            *(put(m, tuning="lora", lora=LORA) for m in ("sft", "dpo")),
            put("orpo", tuning="lora", lora={**LORA, "r": 64}),
        ),
        {"tuning"},
        True,
    ),
    (
        "NLL over the prompt too",
        both(put("orpo", nll_scope="prompt+response"), batch("orpo", chosen_scored="all")),
        {"nll_scope", "scored_positions"},
        True,
    ),
    (
        "the experts' loss in two of three methods",
        both(*(put(m, router_loss=0.02) for m in ("sft", "dpo")), put("orpo", router_loss=0.0)),
        {"router_loss"},
        True,
    ),
    ("stock TRL ORPO", STOCK, STOCK_CHECKS, True),
    ("padding on the left", batch("orpo", padding="left"), {"padding"}, True),
    ("padded in one arm", put("orpo", layout={"flat": False, "shared_prompt": False}), {"layout"}, True),
    (
        "prompts computed twice in one arm",
        put("sft", layout={"flat": True, "shared_prompt": False}),
        {"layout"},
        True,
    ),
    ("more padding in one arm", batch("orpo", tokens_padded=90_000), {"tokens_padded"}, True),
    ("two devices in one arm", put("orpo", parallel=TWO_DEVICES), {"devices"}, True),
    (
        "shared in another way",
        both(
            *(put(m, parallel=TWO_DEVICES) for m in ("sft", "dpo")),
            put("orpo", parallel={**TWO_DEVICES, "how": "fsdp2"}),
        ),
        {"devices"},
        True,
    ),
    ("other packages", environment(versions={"torch": "2.14.0"}), {"installed_packages"}, True),
    ("more epochs", put("orpo", epochs=5.0), {"budget"}, True),
    ("tuned more often", spec(tuning_trials_per_arm={"orpo": 9, "sft_dpo": 8}), {"tuning_trials"}, True),
    (
        "searched over more values",
        spec(search_space={"orpo": {"lr": [1, 2, 3]}, "sft_dpo": {"lr": [1, 2]}}),
        {"search_space"},
        True,
    ),
]


def unequal(checks: list[ParityCheck]) -> set[str]:
    return {check.check for check in checks if check.equal is False}


@pytest.mark.parametrize("before", [True, False])
def test_the_good_comparison_has_nothing_unequal_and_nothing_unknown(before: bool) -> None:
    checks = run(good(), before=before)
    assert {c.check: c.equal for c in checks if c.equal is not True} == {}
    after_alone = ("hand_over", "probed_pairs", "weights_moved")
    expected = [name for name in CHECKS if not (before and name in after_alone)]
    assert [c.check for c in checks] == expected


@pytest.mark.parametrize(("name", "mutate", "broken", "known_before"), TABLE, ids=[t[0] for t in TABLE])
def test_every_break_is_caught_and_named(
    name: str, mutate: Callable[[State], None], broken: set[str], known_before: bool
) -> None:
    state = good()
    mutate(state)
    after = run(state, before=False)
    assert unequal(after) == broken
    assert {c.check for c in violations(after)} == broken
    assert all(c.remedy and c.detail for c in after if c.check in broken)
    before = run(state, before=True)
    assert unequal(before) == (broken if known_before else set())


def test_the_table_is_as_long_as_it_should_be() -> None:
    assert len(TABLE) >= 20
    assert len({name for name, *_ in TABLE}) == len(TABLE)


def test_an_allowed_break_stays_unequal_and_stops_nothing() -> None:
    state = good()
    STOCK(state)
    spec(allow_unequal=sorted(STOCK_CHECKS))(state)
    checks = run(state, before=False)
    assert unequal(checks) == STOCK_CHECKS
    assert violations(checks) == []
    assert all(c.allowed and c.touches for c in checks if c.check in STOCK_CHECKS)


def test_what_was_not_recorded_is_unknown_and_never_equal() -> None:
    state = good()
    for digest in stages_of(state, "orpo"):
        del state["facts"][digest]["dtype"]
        del state["facts"][digest]["updates"]
        del state["facts"][digest]["batches"]
        del state["facts"][digest]["head"]
        del state["facts"][digest]["layout"]
    found = {c.check: c.equal for c in run(state, before=False)}
    for name in (
        "precision",
        "weights_moved",
        "chosen_token_ids",
        "stop_token_learned",
        "doubled_bos",
        "head",
        "layout",
    ):
        assert found[name] is None, name


def test_an_arm_that_rounding_froze_is_unequal_and_labelled_and_stops_nothing() -> None:
    """The shares that bfloat16 left of 32 steps at the papers' rates: 1.3% of SFT's and 0.03% of DPO's."""
    state = good()
    put("dpo", updates={"moved_share": 0.0003, "relative_norm": 1e-6})(state)
    checks = run(state, before=False)
    assert unequal(checks) == {"weights_moved"}
    assert violations(checks) == []
    found = next(check for check in checks if check.check == "weights_moved")
    assert found.detail.startswith("0.03% of the weights changed in sft_dpo/dpo@")
    assert "scores" in found.touches


def on_devices(state: State, kind: str, of: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
    """Let every stage of a kind run where `of` says."""
    for digest, stage in state["plan"]["stages"].items():
        if stage["kind"] == kind:
            state["environment"][digest] = of(stage)


def check_named(checks: list[ParityCheck], name: str) -> ParityCheck:
    return next(check for check in checks if check.check == name)


def test_blocks_on_devices_of_their_own_are_equal() -> None:
    """Whatever the devices: ratios are formed within blocks."""
    state = good()
    on_devices(state, "train", lambda stage: {"device": "cuda", "gpu_uuid": f"GPU-{stage['seed']}"})
    found = check_named(run(state, before=False), "device")
    assert found.equal is True
    assert found.detail == "each block on one device: 1 on a CPU GPU-0; 1 on a CPU GPU-1"


def test_a_block_that_left_its_device_is_unequal_and_labelled_and_stops_nothing() -> None:
    state = good()
    on_devices(state, "train", lambda stage: {"device": "cuda", "gpu_uuid": "GPU-1"})
    moved = next(d for d in stages_of(state, "orpo") if state["plan"]["stages"][d]["name"] == "orpo/orpo@1")
    state["environment"][moved] = {"device": "cuda", "gpu_uuid": "GPU-2"}
    checks = run(state, before=False)
    found = check_named(checks, "device")
    assert unequal(checks) == {"device"}
    assert violations(checks) == []
    assert found.detail == (
        "1 of 2 blocks ran on several devices (seed 1: a CPU GPU-1, a CPU GPU-2); their ratios are left out"
    )
    assert "wall_seconds" in found.touches


def test_a_device_that_nobody_names_is_unknown() -> None:
    state = good()
    on_devices(state, "train", lambda stage: {"device": "cuda", "gpu_uuid": None})
    assert check_named(run(state, before=False), "device").equal is None


def test_nodes_and_cores_tell_processors_apart() -> None:
    here = ENVIRONMENT.model_copy(update={"node": "n1", "cores": "0-3,8"})
    assert here.place == "a CPU, cores 0-3,8 of n1"
    assert here.kind_of_device == "a CPU, 5 cores"
    assert ENVIRONMENT.place == "a CPU"
    assert ENVIRONMENT.kind_of_device == "a CPU, 2 cores"


@pytest.mark.parametrize(
    ("names", "equal"), [(("A", "A"), True), (("A", "B"), None)], ids=["one kind", "two kinds"]
)
def test_rehearsals_may_be_spread_over_devices(names: tuple[str, str], equal: bool | None) -> None:
    """Of two kinds nobody knows which one a block will run on, and that stops nothing."""
    state = good()
    on_devices(
        state,
        "rehearse",
        lambda stage: {
            "device": "cuda",
            "device_name": names[stage["config"]["stage"] == "orpo"],
            "gpu_uuid": f"GPU-{stage['config']['stage']}",
        },
    )
    checks = run(state, before=True)
    assert check_named(checks, "device").equal is equal
    assert violations(checks) == []


def test_a_dirty_tree_and_another_reference_mode_are_said_and_stop_nothing() -> None:
    state = good()
    for digest in stages_of(state, "dpo"):
        state["environment"][digest] = {"git_dirty": True}
    checks = {c.check: c for c in run(state, before=False)}
    assert checks["clean_git_tree"].equal is False
    assert violations(checks.values()) == []


def test_budgets_on_another_axis_compare_totals() -> None:
    state = good()
    spec(budget={"axis": "flops", "of": "sft_dpo"})(state)
    put("orpo", epochs=1.8)(state)
    for digest, stage in state["plan"]["stages"].items():
        if stage["kind"] == "rehearse":
            flops = {"sft": 300, "dpo": 800, "orpo": 1090}[stage["config"]["stage"]]
            state["predictions"][digest] = foretold(flops=flops, steps=500)
    found = {c.check: c for c in run(state, before=True)}
    assert found["budget"].values == {"sft": "300", "sft_dpo": "1100", "orpo": "1090"}
    assert found["budget"].equal is False
    state["plan"]["cells"] = [cell for cell in state["plan"]["cells"] if cell["arm"] != "sft"]
    state["plan"]["stages"][state["plan"]["rehearsals"][0]]["config"]["arms"] = ["sft_dpo"]
    found = {c.check: c for c in run(state, before=True)}
    assert found["budget"].equal is True
    rehearsal = stages_of(state, "orpo")[0]
    state["predictions"][rehearsal] = foretold(flops=1000, steps=5)
    found = {c.check: c for c in run(state, before=True)}
    assert found["budget"].equal is True, "within one of five steps"
    del state["predictions"][rehearsal]
    found = {c.check: c for c in run(state, before=True)}
    assert found["budget"].equal is None, "an arm without a total is unknown"


def test_weights_in_another_form_are_unknown_and_an_unknown_hides_no_break() -> None:
    state = good()
    put("orpo", tuning="lora", lora=LORA, weights_at_start="base with adapters")(state)
    found = {c.check: c.equal for c in run(state, before=False)}
    assert (found["tuning"], found["base_weights"]) == (False, None)
    state = good()
    first, *_, last = stages_of(state, "dpo")
    state["facts"][last]["reference"] = reference("another model")
    state["facts"][first]["reference"] = reference(None)
    assert {c.check: c.equal for c in run(state, before=False)}["reference_is_start"] is False


def test_arms_without_a_stated_number_of_trials_are_unknown() -> None:
    state = good()
    spec(tuning_trials_per_arm={"orpo": 8, "sft_dpo": 8, "gone": 3})(state)
    found = {c.check: c for c in run(state, before=False)}["tuning_trials"]
    assert found.equal is None
    assert "not stated for sft" in found.detail


def test_old_records_are_audited_with_what_they_have() -> None:
    record = ComparisonRecord.model_validate_json(FIXTURE.read_text())
    checks = audit(record.plan, record.results)
    assert {c.check for c in checks} == set(CHECKS)
    assert all(c.equal is not False or c.detail for c in checks)


ONLY_TRL = {"title": "X", "data": "pairs", "only": "trl", "reference": False, "sequences_per_pair": 2}
OF_TRAINER = {"implementation", "head", "layout", "tokens_padded"}


def trl_alone(**about: Any) -> Callable[[State], None]:
    """ORPO's stages as those of a method that only TRL has a trainer for."""
    return both(
        put("orpo", about={**ONLY_TRL, **about}, implementation="trl", head={"kind": "fused"}),
        put("orpo", layout={"flat": False, "shared_prompt": False}),
        batch("orpo", tokens_padded=52_000),
    )


def test_what_a_method_with_one_trainer_cannot_equal_is_labelled_and_stops_nothing() -> None:
    state = good()
    trl_alone()(state)
    checks = run(state, before=False)
    assert unequal(checks) == OF_TRAINER
    assert violations(checks) == []
    assert all("TRL has the only trainer" in c.detail for c in checks if c.check in OF_TRAINER)
    put("orpo", precision="float32", about={**ONLY_TRL, "only": None})(state)
    stopping = {c.check for c in violations(run(state, before=False))}
    assert stopping == OF_TRAINER | {"precision"}


NOT_OF_PROMPTS = dict.fromkeys(
    (
        "chosen_ids",
        "chosen_scored",
        "rejected_ids",
        "stop_learned",
        "doubled_bos",
        "longest_chosen",
        "padding",
    )
)


def test_answers_of_its_own_are_said_and_are_nothing_unequal() -> None:
    state = good()
    trl_alone(data="prompts")(state)
    batch("orpo", **NOT_OF_PROMPTS, tokens_real=None, tokens_padded=None, longest_rejected=None)(state)
    checks = {c.check: c for c in run(state, before=False)}
    assert violations(checks.values()) == []
    assert {name for name, c in checks.items() if c.equal is None} == set()
    assert checks["chosen_token_ids"].detail.endswith("; does not apply to orpo/orpo")
    assert checks["pair_count"].equal is True
    batch("orpo", pairs=864)(state)
    assert {"pair_count", "dropped_and_truncated"} <= unequal(run(state, before=False))


def test_a_reward_that_is_read_is_the_one_that_was_trained() -> None:
    state = good()
    cell = next(c for c in state["plan"]["cells"] if c["arm"] == "sft_dpo")
    sft, dpo = cell["stages"]
    state["plan"]["stages"][dpo]["needs"]["reward_model"] = sft
    state["facts"][dpo]["reward"] = {"weights": state["facts"][sft]["weights_at_end"]}
    assert unequal(run(state, before=False)) == set()
    state["facts"][dpo]["reward"] = {"weights": "another"}
    assert unequal(run(state, before=False)) == {"hand_over"}
