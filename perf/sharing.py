"""What two levers save of an ORPO stage, foretold and measured: no padding, and the prompt once a pair.

    PYTHONPATH=. python perf/sharing.py [--repeats 3] [--levers packing] [--length 256] [--pairs 64]

Ours with the lever against ours without it, in turns and fresh processes, on made pairs of random words and a
small model of random weights. `shared_prompt`: the prompt is 10 to 80% of each sequence, in padless rows.
`packing`: sequences of ever more unequal lengths, with the share of their batches that is padding. Foretold
is the ratio of FLOPs by formula. A lever whose setting this version does not know is left out with a word.
Exits 1 where a lever costs: where all of the interval of its gain lies below 1.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from harness.measure.environment import device_identity
from harness.measure.gpu_lock import GpuLock
from harness.measure.model_shape import ModelShape
from harness.measure.theory import train_flops
from harness.methods import load_method
from harness.pipeline.overrides import Overrides
from perf.checklist.bench import TOY, write_model
from perf.losses import last_difference
from perf.made_pairs import MICRO_BATCH, TEMPLATE_TOKENS, Case, padding_cases, prompt_cases, write_pairs
from perf.paired import Interval, in_turn, ratio
from perf.prepared import Prepared
from perf.training import Duel, Trained

PLAIN = argparse.RawDescriptionHelpFormatter
MODEL = {
    **TOY,
    "hidden_size": 192,
    "intermediate_size": 512,
    "num_hidden_layers": 4,
    "num_attention_heads": 6,
}
MODEL |= {"num_key_value_heads": 6}
LEVERS: dict[str, Callable[[int, int], list[Case]]] = {
    "shared_prompt": prompt_cases,
    "packing": padding_cases,
}
"""By the name of the setting below `training` that is `on` or `off`."""


def known(setting: str) -> bool:
    """Whether this version has the setting."""
    return setting in load_method("orpo").Config.model_fields


def foretold(shape: ModelShape, case: Case) -> float:
    """FLOPs without the lever over those with it."""
    without, with_it = (train_flops(shape, Counter(buckets)) for buckets in (case.without, case.with_it))
    return without / with_it


def shape_of(config: dict[str, Any]) -> ModelShape:
    """Of a model that is never made."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(AutoConfig.for_model(**config))
    return ModelShape.of_model(model)


def run_case(
    case: Case, lever: str, repeats: int, length: int, folder: Path
) -> list[tuple[Trained, Trained]]:
    """(with the lever, without it) of every repeat."""
    write_pairs(case.pairs, folder / "data")
    duels = {}
    for switch in ("on", "off"):
        sets = [f"training.{lever}={switch}", f"repeats={repeats}", "score=[]", "questions=[]"]
        # A prompt is shared in rows alone, and rows are measured without that.
        sets += ["training.packing=on" if lever == "shared_prompt" else "training.shared_prompt=off"]
        sets += [f"training.micro_batch_size={MICRO_BATCH}", f"training.batch_size={2 * MICRO_BATCH}"]
        sets += ["training.precision=float32", "training.gradient_checkpointing=false", "if_too_large=null"]
        sets += [f"data.max_length={length + 2 * TEMPLATE_TOKENS}", "stages.orpo.learning_rate=1e-4"]
        model, data = f"config:{write_model(folder / 'model', MODEL)}", str(folder / "data")
        overrides = Overrides(model, data, ["orpo"], "1", sets=sets)
        duels[switch] = Duel(Prepared(folder, "ultrafeedback", overrides))
    stages = {switch: [duel.stages(n)[0] for n in range(repeats)] for switch, duel in duels.items()}
    if set(stages["on"]) & set(stages["off"]):
        sys.exit(f"training.{lever}: on and off are one stage, which would be reused and not measured")
    return [
        in_turn(
            n,
            partial(duels["on"].ours, stages["on"][n]),
            partial(duels["off"].ours, stages["off"][n]),
        )
        for n in range(repeats)
    ]


def row_of(case: Case, expected: float, pairs: Sequence[tuple[Trained, Trained]]) -> dict[str, Any]:
    """Foretold and measured gain, and how far the last losses lie apart."""
    gain = ratio([off.train_seconds for _, off in pairs], [on.train_seconds for on, _ in pairs])
    apart = max(last_difference(on.losses, off.losses) for on, off in pairs)
    measured = {"gain": gain.mean, "low": gain.low, "high": gain.high}
    return {"share": case.share, "foretold": expected, **measured, "loss_apart": apart}


def sweep(lever: str, given: argparse.Namespace) -> list[dict[str, Any]]:
    """A row a point, printed as it is found."""
    shape, rows = shape_of(MODEL), list[dict[str, Any]]()
    what = "prompt" if lever == "shared_prompt" else "padding"
    print(f"training.{lever}: gain by share of {what}\n{what:>8} {'foretold':>9}  measured (95% interval)")
    for case in LEVERS[lever](given.pairs, given.length):
        expected = foretold(shape, case)
        with tempfile.TemporaryDirectory() as folder:
            pairs = run_case(case, lever, given.repeats, given.length, Path(folder).resolve())
        rows.append(row_of(case, expected, pairs))
        gain = Interval(rows[-1]["gain"], rows[-1]["low"], rows[-1]["high"])
        apart = f"last losses {rows[-1]['loss_apart']:.1e} apart"
        print(f"{case.share:8.0%} {expected:9.2f}  {gain!s:24} {apart}", flush=True)
    return rows


def main() -> int:
    """Every lever that is there."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=PLAIN)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--levers", nargs="+", default=list(LEVERS), choices=list(LEVERS))
    parser.add_argument("--length", type=int, default=256, help="tokens of the longest sequence")
    parser.add_argument("--pairs", type=int, default=64)
    given = parser.parse_args()
    found: dict[str, list[dict[str, Any]]] = {}
    for lever in given.levers:
        if not known(lever):
            print(f"training.{lever} is no setting of this version: left out", file=sys.stderr)
            continue
        with GpuLock(device_identity(), what="perf/sharing.py"):
            found[lever] = sweep(lever, given)
    print(json.dumps({"benchmark": "sharing", "levers": found}))
    return int(any(row["high"] is not None and row["high"] < 1 for rows in found.values() for row in rows))


if __name__ == "__main__":
    sys.exit(main())
