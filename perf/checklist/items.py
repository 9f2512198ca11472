"""The items of the checklist, in the order in which they run: what is cheap and decides most comes first."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from harness.errors import UserError
from harness.measure import device
from harness.measure.nvml import open_nvml
from harness.records import RehearseEvaluateFacts, RehearseFacts, StageResult, TrainFacts
from harness.running.forecast import check_memory
from perf.checklist.bench import (
    EMBEDDED_NAME,
    MODELS,
    Bench,
    Outcome,
    crowded,
    foretold,
    judged,
    missing,
    value,
)

NEARLY_ALL, THEORY, MEMORY, TIME = 0.99, 0.01, 0.10, 0.50
GIB = 2**30
LORA = ("training.lora.r=16", "training.lora.alpha=32")


@dataclass(frozen=True)
class Item:
    """One thing that has to hold; `claim` says what, in a sentence."""

    name: str
    claim: str
    run: Callable[[Bench], Outcome]


def nvml(bench: Bench) -> Outcome:
    """The driver names the device that torch computes on, and its energy counter runs."""
    library, why = open_nvml()
    if library is None:
        return missing(why or "NVML is not there")
    before, facts = library.energy_joules(), library.facts()
    bench.trained(bench.execution("training.max_steps=6", model=EMBEDDED_NAME, arms=("orpo",)))
    joules = library.energy_joules() - before
    figures = {k: facts[k] for k in ("name", "uuid", "driver", "power_limit_watts")} | {"joules": joules}
    return judged(bool(facts["uuid"]) and joules > 0, figures, "no UUID, or the energy counter stands still")


def precision_guard(bench: Bench) -> Outcome:
    """mixed moves nearly all weights at the shipped rates, bfloat16 does not, and the records say so."""
    kinds = ("mixed", "bfloat16")
    moved: dict[str, dict[str, float | None]] = {}
    for kind in kinds:
        sets = (f"training.precision={kind}", "training.max_steps=32", "data.limit=64")
        stages = bench.trained(bench.execution(*sets, model=EMBEDDED_NAME))
        moved[kind] = {name: _moved(result) for name, result in stages.items()}
    known = all(share is not None for shares in moved.values() for share in shares.values())
    ok = known and min(moved["mixed"].values()) > NEARLY_ALL > min(moved["bfloat16"].values())  # type: ignore[type-var, operator]
    return judged(ok, moved, "mixed froze weights, bfloat16 froze none, or a share was not recorded")


def _moved(result: StageResult) -> float | None:
    updates = result.facts_as(TrainFacts).updates
    return updates.moved_share if updates else None


def known_kernels(bench: Bench) -> Outcome:
    """Every operation that ran has a known cost, and counted FLOPs agree with the formula within 1%."""
    return _kernels(bench)


def flash_attention(bench: Bench) -> Outcome:
    """The same with FlashAttention's kernels."""
    if importlib.util.find_spec("flash_attn") is None:
        return missing("the package flash-attn is not installed")
    return _kernels(bench, "training.attention=flash_attention_2")


def _kernels(bench: Bench, *sets: str) -> Outcome:
    figures: dict[str, Any] = {}
    ok = True
    for name, result in bench.rehearsals(bench.execution(*sets)).items():
        facts = foretold(result)
        if facts is None:
            return judged(False, figures, f"{name} did not fit")
        ratio = facts.flops / facts.flops_theory if facts.flops_theory else None
        figures[name] = {"unknown": facts.flops_unknown_ops, "counted_over_formula": ratio}
        ok = ok and not facts.flops_unknown_ops and ratio is not None and abs(ratio - 1) <= THEORY
    return judged(ok, figures, "unknown operations, or counts that differ from the formula by over 1%")


def forecast_holds(bench: Bench) -> Outcome:
    """Peak memory of training lies within 10% of what the rehearsal foretold, and its time within 50%."""
    execution = bench.execution("training.max_steps=8")
    stages, rehearsed = bench.trained(execution), bench.rehearsals(execution)
    figures: dict[str, Any] = {}
    ok = True
    for name, result in stages.items():
        stage = name.partition("/")[2]
        facts = next((foretold(r) for n, r in rehearsed.items() if n.startswith(f"{stage} of")), None)
        if facts is None:
            return judged(False, figures, f"{name} was not rehearsed, or did not fit")
        peak, reserved = value(result, "peak_allocated_bytes"), value(result, "peak_reserved_bytes")
        figures[name] = {
            "peak_bytes": peak,
            "reserved_bytes": reserved,
            "foretold_bytes": facts.peak_memory_bytes,
            "seconds": value(result, "wall_seconds"),
            "foretold_seconds": facts.seconds,
        }
        if peak is not None and facts.peak_memory_bytes:
            ok = ok and abs(peak / facts.peak_memory_bytes - 1) <= MEMORY
        seconds = value(result, "wall_seconds")
        ok = ok and seconds is not None and abs(seconds / facts.seconds - 1) <= TIME
    if not device.on_accelerator():
        return missing("peaks are VRAM, and there is no GPU")
    return judged(ok, figures, "a peak or a time lies outside")


def adapters(bench: Bench) -> Outcome:
    """LoRA trains in every arm, with less memory than full fine-tuning."""
    full, lora = (bench.rehearsals(bench.execution(*sets)) for sets in ((), LORA))
    peaks = {n: (_peak(full.get(n)), _peak(result)) for n, result in lora.items()}
    if any(foretold(result) is None for result in lora.values()):
        return judged(False, {"peaks": peaks}, "LoRA did not fit")
    known = [(a, b) for a, b in peaks.values() if a is not None and b is not None]
    if not known:
        return missing("it trained; peaks are VRAM, and there is no GPU")
    return judged(all(b < a for a, b in known), {"peaks": peaks}, "LoRA took as much memory as full weights")


def _peak(result: StageResult | None) -> int | None:
    facts = foretold(result) if result is not None else None
    return facts.peak_memory_bytes if facts else None


def quantised(bench: Bench) -> Outcome:
    """QLoRA trains in every arm."""
    if not device.on_accelerator():
        return missing("quantisation needs a CUDA GPU")
    if importlib.util.find_spec("bitsandbytes") is None:
        return missing("the package bitsandbytes is not installed")
    stages = bench.rehearsals(bench.execution(*LORA, "training.quantization=4bit"))
    figures = {name: _peak(result) for name, result in stages.items()}
    return judged(None not in figures.values(), figures, "a stage did not fit")


def engines(bench: Bench) -> Outcome:
    """Continuous batching, and vLLM where it is installed, answer as padded batches do."""
    figures: dict[str, Any] = {}
    for engine in ("continuous", *(["vllm"] if importlib.util.find_spec("vllm") else [])):
        asked = f"generation.engine={engine}"
        execution = bench.execution(asked, model=EMBEDDED_NAME, score=("rubric",))
        (result,) = bench.run(execution, [str(execution.plan.rehearse_evaluate)])
        trial = result.facts_as(RehearseEvaluateFacts).engine
        figures[engine] = trial.model_dump() if trial else None
    ok = all(trial is not None and trial["reason"] is None for trial in figures.values())
    return judged(ok, figures, "an engine was not tried, or its answers lie beyond the tolerance")


def forced_out_of_memory(bench: Bench) -> Outcome:
    """A GPU that a neighbour has filled ends the run in the setting that fits; a later run tries again."""
    if not device.on_accelerator():
        return missing("there is no GPU memory to fill")
    sets = ("training.max_steps=9",)
    with crowded(leave_bytes=2 * GIB):
        execution = bench.execution(*sets)
        tight = bench.rehearsals(execution)
        try:
            check_memory(execution)
            remedy = None
        except UserError as error:
            remedy = error.remedy
    free = bench.rehearsals(bench.execution(*sets))
    figures = {
        "out_of_memory": [n for n, r in tight.items() if r.facts_as(RehearseFacts).out_of_memory],
        "remedy": remedy,
        "fits_again": [n for n, r in free.items() if foretold(r) is not None],
    }
    ok = bool(figures["out_of_memory"]) and remedy is not None and len(figures["fits_again"]) == len(free)  # type: ignore[arg-type]
    return judged(ok, figures, "it fitted all the same, had no remedy, or the failure was reused")


def sizes(model: str, tuning: str) -> Callable[[Bench], Outcome]:
    """Every arm and stock ORPO beside the matched one, at a real size."""
    sets = LORA if tuning == "lora" else ()

    def run(bench: Bench) -> Outcome:
        arms = ("sft_dpo", "sft_dpo_precomputed", "orpo")
        matched = bench.rehearsals(bench.execution(*sets, model=model, arms=arms))
        stock = bench.rehearsals(
            bench.execution(*sets, "stages.orpo.implementation=trl", model=model, arms=("orpo",))
        )
        rows = {**matched, **{f"stock {name}": result for name, result in stock.items()}}
        figures = {name: _cost(result) for name, result in rows.items()}
        return judged(None not in figures.values(), figures, "a stage did not fit")

    return run


def _cost(result: StageResult) -> dict[str, Any] | None:
    facts = foretold(result)
    if facts is None:
        return None
    return {
        "seconds": facts.seconds,
        "seconds_low": facts.seconds_low,
        "seconds_high": facts.seconds_high,
        "flops": facts.flops,
        "peak_memory_bytes": facts.peak_memory_bytes,
        "reserved_bytes": value(result, "peak_reserved_bytes"),
        "joules_of_rehearsal": value(result, "energy_joules"),
    }


ITEMS: Mapping[str, Item] = {
    item.name: item
    for item in (
        Item("nvml", "NVML names the device and counts its energy", nvml),
        Item("precision", "mixed moves the weights, bfloat16 freezes them and says so", precision_guard),
        Item("kernels", "every operation's FLOPs are known and agree with the formula", known_kernels),
        Item("forecast", "memory and time lie near what the rehearsal foretold", forecast_holds),
        Item("lora", "LoRA trains in every arm with less memory", adapters),
        Item("qlora", "QLoRA trains in every arm", quantised),
        Item("flash", "FlashAttention's FLOPs are known", flash_attention),
        Item("engines", "engines of generation answer as padded batches do", engines),
        Item("out_of_memory", "a crowded GPU ends in a remedy and is tried again", forced_out_of_memory),
        *(
            Item(f"{model}, {tuning}", "all arms, stock beside matched", sizes(model, tuning))
            for model in MODELS
            for tuning in ("full", "lora")
        ),
    )
}
