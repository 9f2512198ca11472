"""Adapters folded into the model that they were trained on, for programs that load whole weights alone.

`python -m harness.generate.merged ADAPTERS OUT PRECISION`
"""

from __future__ import annotations

import sys
from pathlib import Path

from harness.errors import UserError
from harness.generate.load import base_of_adapters, load_weights
from harness.generate.precision import resolve_precision


def merge(adapters: Path, out: Path, precision: str) -> None:
    """Write whole weights into `out`: the base with what the adapters add, in the dtype that it was held in.

    Raises UserError where the folder holds no adapters.
    """
    import peft

    base = base_of_adapters(str(adapters))
    if base is None:
        raise UserError("holds no adapters", where=str(adapters), remedy="give the folder of a LoRA stage")
    model = load_weights(*base, resolve_precision(precision).below_adapters)
    merged = peft.PeftModel.from_pretrained(model, str(adapters)).merge_and_unload()
    merged.save_pretrained(out)


if __name__ == "__main__":
    try:
        merge(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3])
    except UserError as error:
        sys.exit(f"{error}")
