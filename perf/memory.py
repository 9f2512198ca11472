"""Peak memory of LoRA stages whose vocabulary outweighs all else: SFT, DPO and ORPO, in one run.

A 128k vocabulary makes one embedding half a GiB here, and all logits of a batch with their gradient as much.
Whatever copied the one (fingerprints did) or kept the others would show. Fails where a stage's growth above
imports exceeds the weights by over 0.35 GiB: 0.22 to 0.28 were seen. 0.12 to 0.17 of that every stage takes,
the embedded model's too, and 0.06 to 0.08 a chunk of logits: chunks of 4 MiB in place of 64 take that much
less.
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path

from harness.measure.held import held_bytes
from harness.records import TrainFacts
from perf.checklist.bench import MODELS, Bench, value

GIB, ROOM = 2**30, 0.35
NAME = "wide vocabulary"
MODELS[NAME] = {
    **MODELS["llama-3.2-1b"],
    "hidden_size": 1024,
    "intermediate_size": 256,
    "num_hidden_layers": 2,
    "num_attention_heads": 8,
    "num_key_value_heads": 2,
}
SETS = (
    "training.lora.r=8",
    "training.precision=float32",
    "training.gradient_checkpointing=false",
    "training.max_steps=3",
    "training.batch_size=2",
    "data.max_length=256",
    "data.limit=16",
)


def main() -> int:
    """Print a table and the same as one line of JSON; 1 where a stage is over its limit."""
    rows: list[tuple[str, float, float]] = []
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(Path(folder), toy=False, deadline=float("inf"))
        stages = bench.trained(bench.execution(*SETS, model=NAME))
        for name, result in stages.items():
            facts = result.facts_as(TrainFacts)
            trained, all_weights = facts.trainable_parameters or 0, facts.parameters or 0
            held = held_bytes(trained=trained, frozen=all_weights - trained, precision="float32").total
            growth = value(result, "host_growth_bytes")
            assert growth is not None, f"{name} has no growth of host memory"
            rows.append((name, growth / GIB, held / GIB))
    print(f"{'stage':16} {'growth GiB':>10} {'held by formula GiB':>20}")
    for name, grown, formula in rows:
        print(f"{name:16} {grown:10.2f} {formula:20.2f}")
    figures = [{"stage": name, "growth_gib": grown, "held_gib": formula} for name, grown, formula in rows]
    print(json.dumps({"benchmark": "memory", "rows": figures}))
    return int(any(grown > formula + ROOM for _, grown, formula in rows))


if __name__ == "__main__":
    sys.exit(main())
