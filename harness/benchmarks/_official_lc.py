"""AlpacaEval 2's own length-controlled win rate (Dubois et al. 2024, arXiv 2404.04475)."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

PROMPTS = 805


def official_lc(rows: Sequence[dict[str, Any]]) -> tuple[float | None, str | None]:
    """The length-controlled win rate as a share, or None and why there is none.

    `rows` stand in AlpacaEval's order with `preference` (1 the first, 2 the second), `output_1` (the
    reference's), `output_2`, `generator_1`, `generator_2`. alpaca_eval's model needs the difficulty
    of each instruction, which lies on the hub.
    """
    if len(rows) != PROMPTS:
        return None, f"it is defined for all {PROMPTS} prompts of AlpacaEval"
    import pandas

    frame = pandas.DataFrame(rows).assign(index=range(len(rows)))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            from alpaca_eval.metrics import get_length_controlled_winrate

            result = get_length_controlled_winrate(
                frame.set_index("index"), save_weights_dir=None, is_add_glm_preference_inplace=False
            )
    except Exception as error:
        # The file of difficulties may be out of reach, and the fit may fail: neither spoils the raw rate.
        return None, f"{type(error).__name__}: {str(error).splitlines()[0][:120]}"
    return float(result["length_controlled_winrate"]) / 100, None
