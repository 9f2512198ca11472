"""Cost of every method at real sizes on this GPU, from random weights: one JSON, resumable.

    python perf/gpu.py --tokenizer FOLDER --data FOLDER [--out runs-gpu] [--minutes 8.5]

Each case is one rehearsed stage in a process of its own (a few real steps, the longest batch
first), so a call that runs out of minutes goes on where it stopped. `gpu.json` holds every case
with its memory, FLOPs, time and MFU, and the verdict on each published claim.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import time
from pathlib import Path
from typing import Any

from rich.console import Console

from harness.measure.environment import collect
from harness.measure.utilisation import published_peak, utilisation
from harness.pipeline.load import find_comparison, load_comparison
from harness.pipeline.overrides import Overrides
from harness.pipeline.plan import plan_comparison
from harness.records import RehearseFacts
from harness.running.execute import Execution
from harness.running.resolve import is_local, resolve
from harness.store.run_dir import RunRoot

MODELS: dict[str, dict[str, Any]] = {
    "qwen2.5-0.5b": {
        "architectures": ["Qwen2ForCausalLM"],
        "model_type": "qwen2",
        "hidden_size": 896,
        "intermediate_size": 4864,
        "num_hidden_layers": 24,
        "num_attention_heads": 14,
        "num_key_value_heads": 2,
        "tie_word_embeddings": True,
    },
    "llama-3.2-1b": {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "hidden_size": 2048,
        "intermediate_size": 8192,
        "num_hidden_layers": 16,
        "num_attention_heads": 32,
        "num_key_value_heads": 8,
        "tie_word_embeddings": True,
    },
}
TRIAL = "trial"
MODELS[TRIAL] = {
    "architectures": ["LlamaForCausalLM"],
    "model_type": "llama",
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 2,
    "tie_word_embeddings": True,
}
ARMS = ("sft_dpo", "sft_dpo_precomputed", "orpo")
FORETOLD = (
    "flops",
    "reference_flops",
    "seconds",
    "seconds_low",
    "seconds_high",
    "peak_memory_bytes",
    "steps",
)
LORA = ("training.lora.r=16", "training.lora.alpha=32")


def cases(models: list[str]) -> list[dict[str, Any]]:
    """Models x full or LoRA x checkpointing x matched or stock ORPO, the most telling first."""
    found = []
    for model in models:
        for lora in (False, True):
            for checkpointing in (True, False):
                settings = [f"training.gradient_checkpointing={str(checkpointing).lower()}"]
                settings += LORA if lora else ()
                tags = {"model": model, "tuning": "lora" if lora else "full", "checkpointing": checkpointing}
                found.append({**tags, "arms": ARMS, "settings": settings, "orpo": "matched"})
                stock = [*settings, "stages.orpo.implementation=trl"]
                found.append({**tags, "arms": ("orpo",), "settings": stock, "orpo": "trl"})
            if lora:
                off = [*settings, "stages.dpo.reference=adapter_off"]
                found.append({**tags, "arms": ("dpo_only",), "settings": off, "orpo": "none"})
    return found


def model_folder(name: str, tokenizer: Path, out: Path) -> Path:
    """A transformers config with the tokenizer beside it."""
    folder = out / "models" / name
    if not (folder / "config.json").is_file():
        shutil.copytree(tokenizer, folder, dirs_exist_ok=True)
        vocabulary = 128 * -(
            -len(json.loads((tokenizer / "tokenizer.json").read_text())["model"]["vocab"]) // 128
        )
        config = {**MODELS[name], "vocab_size": vocabulary + 128, "max_position_embeddings": 4096}
        (folder / "config.json").write_text(json.dumps(config))
    return folder


def run_case(
    case: dict[str, Any], arguments: argparse.Namespace, deadline: float
) -> list[dict[str, Any]] | None:
    """The rehearsals of a case; None where time ran out before they were all done."""
    arms = list(case["arms"])
    if arms == ["dpo_only"]:
        arms = [str(Path(__file__).parent / "dpo_only.yaml")]
    settings = (
        *case["settings"],
        f"data.max_length={arguments.max_length}",
        "training.micro_batch_size=2",
        "if_too_large=null",
    )
    overrides = Overrides(
        model=f"config:{model_folder(case['model'], arguments.tokenizer, arguments.out)}",
        data=str(arguments.data),
        arms=arms,
        seeds="1",
        sets=settings,
    )
    spec = load_comparison(find_comparison("ultrafeedback", model=overrides.model), overrides)
    plan, root = plan_comparison(spec, resolve(spec)), RunRoot(arguments.out)
    root.open_for_writing()
    execution = Execution(plan, root, Console(), offline=is_local(spec))
    rows = []
    for digest in (plan.prepare, *plan.rehearsals):
        if root.finished(digest) is None and time.monotonic() > deadline:
            return None
        execution.run([digest])
        if digest != plan.prepare:
            rows.append(row_of(execution, digest, case))
    return rows


def row_of(execution: Execution, digest: str, case: dict[str, Any]) -> dict[str, Any]:
    """One rehearsed stage as plain JSON."""
    stage, result = execution.plan.stages[digest], execution.results[digest]
    tags = {k: v for k, v in case.items() if k not in ("settings", "arms")}
    row: dict[str, Any] = {**tags, "stage": stage.config["stage"], "digest": digest}
    row |= {"reference": stage.config["job"]["config"].get("reference"), "arms": stage.config["arms"]}
    facts = result.facts_as(RehearseFacts)
    found = facts.prediction
    if found is None or facts.stage is None:
        return {**row, "out_of_memory": True}
    row |= {name: getattr(found, name) for name in FORETOLD}
    reserved, joules = result.measured("peak_reserved_bytes"), result.measured("energy_joules")
    row["peak_reserved_bytes"] = reserved.value if reserved else None
    row["energy_joules_of_rehearsal"] = joules.value if joules else None
    peak = published_peak(result.environment.device_name, facts.stage.dtype or "")
    if peak is not None:
        row["mfu"], row["hfu"] = utilisation(found.useful_flops, found.flops, found.seconds, peak)
    return row


def claims(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """ORPO against SFT then DPO for every model, tuning and checkpointing that was measured."""
    found = []
    for tags in sorted({(r["model"], r["tuning"], r["checkpointing"]) for r in rows}):
        same = [r for r in rows if (r["model"], r["tuning"], r["checkpointing"]) == tags]
        pick = {name: _one(same, stage, arm) for name, stage, arm in _WANTED}
        sft, dpo, orpo = pick["sft"], pick["dpo"], pick["orpo"]
        if not (sft and dpo and orpo) or any("seconds" not in r for r in (sft, dpo, orpo)):
            continue
        time_share = orpo["seconds"] / (sft["seconds"] + dpo["seconds"])
        peaks = [r["peak_memory_bytes"] for r in (sft, dpo, orpo)]
        memory_share = None if None in peaks else peaks[2] / max(peaks[:2])
        found.append(
            {
                "model": tags[0],
                "tuning": tags[1],
                "checkpointing": tags[2],
                "time_share": time_share,
                "time_50_to_60_percent": 0.5 <= time_share <= 0.6,
                "flops_share": orpo["flops"] / (sft["flops"] + dpo["flops"]),
                "memory_share": memory_share,
                "less_memory": None if memory_share is None else memory_share < 1,
            }
        )
    return found


_WANTED = (("sft", "sft", "sft_dpo"), ("dpo", "dpo", "sft_dpo"), ("orpo", "orpo", "orpo"))


def _one(rows: list[dict[str, Any]], stage: str, arm: str) -> dict[str, Any] | None:
    return next(
        (r for r in rows if r["stage"] == stage and arm in r["arms"] and r["orpo"] == "matched"), None
    )


def main() -> int:
    """Run what time allows and write what there is."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tokenizer", type=Path, required=True)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, default=Path("runs-gpu"))
    parser.add_argument("--max-length", type=int, default=2048, help="tokens of a sequence")
    parser.add_argument("--minutes", type=float, default=8.5)
    parser.add_argument(
        "--models", nargs="+", default=[m for m in MODELS if m != TRIAL], choices=list(MODELS)
    )
    parser.add_argument(
        "--cpu", action="store_true", help=f"go on without a GPU, to try it (--models {TRIAL})"
    )
    arguments = parser.parse_args()
    arguments.out = arguments.out.resolve()
    deadline = time.monotonic() + 60 * arguments.minutes
    import torch

    if not torch.cuda.is_available() and not arguments.cpu:
        print("perf/gpu.py: no CUDA GPU here; run it where one is", file=sys.stderr)
        return 2
    rows: list[dict[str, Any]] = []
    left = 0
    for case in cases(arguments.models):
        done = run_case(case, arguments, deadline) if time.monotonic() < deadline else None
        rows += done or []
        left += done is None
    environment = collect("cuda" if torch.cuda.is_available() else "cpu")
    report = {
        "environment": environment.model_dump(),
        "rows": rows,
        "claims": claims(rows),
        "cases_left": left,
    }
    arguments.out.mkdir(parents=True, exist_ok=True)
    (arguments.out / "gpu.json").write_text(json.dumps(report, indent=1))
    print(f"{len(rows)} stages measured, {left} cases left; {arguments.out / 'gpu.json'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
