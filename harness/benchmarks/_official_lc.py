"""AlpacaEval's own length-controlled win rate (Dubois et al. 2024, arXiv 2404.04475).

It needs the difficulty of each instruction, which lies on the hub. Of models on AlpacaEval's leaderboards,
alpaca_eval brings the figure along.
"""

from __future__ import annotations

import csv
import hashlib
import importlib.util
import math
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

PROMPTS = 805
INSTRUCTIONS = "80812b0556445b68"
"""First 16 hex digits of the SHA-256 of AlpacaEval's instructions in their order, a newline between them."""
COMPUTED = "alpaca_eval's length_controlled_winrate, computed from these judgments"
PUBLISHED = "as alpaca_eval's leaderboard lists it for this model, judge and raw win rate"
LEADERBOARDS = {
    "text_davinci_003": "data_AlpacaEval",
    "gpt4_1106_preview": "data_AlpacaEval_2",
    "gpt4_turbo": "data_AlpacaEval_2",
}
"""The folder of leaderboards by the rival that their models meet."""


def official_lc(rows: Sequence[dict[str, Any]]) -> tuple[float | None, str | None]:
    """The length-controlled win rate as a share, or None and why there is none.

    `rows` stand in AlpacaEval's order with `instruction`, `preference` (1 the first, 2 the second),
    `output_1` (the reference's), `output_2`, `generator_1`, `generator_2`.
    """
    if not is_alpaca_evals([row["instruction"] for row in rows]):
        return None, f"it is defined for all {PROMPTS} prompts of AlpacaEval, in their order"
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


def is_alpaca_evals(instructions: Sequence[str]) -> bool:
    """Whether these are AlpacaEval's own prompts, in their order; both of its versions share them."""
    text = "\n".join(instructions).encode("utf-8", "surrogatepass")
    return len(instructions) == PROMPTS and hashlib.sha256(text).hexdigest()[:16] == INSTRUCTIONS


def replayed_lc(arm: str, items: Sequence[dict[str, Any]], settings: dict[str, Any]) -> dict[str, Any]:
    """Settings that say AlpacaEval's own figure for annotations of its prompts, and where it is from.

    `items` and `settings` are those of `read_items`. A leaderboard that lists the arm with this judge and
    raw rate comes first, so that a replay is the same with and without the hub.
    """
    if not is_alpaca_evals([str(item["prompt"]) for item in items]):
        return {}
    wins = [win for item in items if (win := item["metrics"]["win_rate"]) is not None]
    rate = sum(wins) / len(wins) if wins else None
    listed = listed_lc(arm, str(settings["judge"]), str(settings["rival"]), rate)
    if listed is not None:
        return {"official_lc_win_rate": listed, "official_lc_origin": PUBLISHED}
    value, reason = official_lc([_row(arm, item, settings) for item in items])
    origin = {} if value is None else {"official_lc_origin": COMPUTED}
    return {"official_lc_win_rate": value, "official_lc_reason": reason, **origin}


def listed_lc(arm: str, judge: str, rival: str, rate: float | None) -> float | None:
    """What alpaca_eval's leaderboards list for a model whose raw win rate is `rate`; None if nothing."""
    package = importlib.util.find_spec("alpaca_eval")
    if rate is None or rival not in LEADERBOARDS or package is None or package.origin is None:
        return None
    folder = Path(package.origin).parent / "leaderboards" / LEADERBOARDS[rival]
    # The judge's name comes from the file that is replayed: it is looked up, never joined to a path.
    path = next((p for p in folder.glob("*_leaderboard.csv") if p.name == f"{judge}_leaderboard.csv"), None)
    if path is None:
        return None
    with path.open(encoding="utf-8", newline="") as file:
        found = next((row for row in csv.DictReader(file) if row[""] == arm), {})
    listed = found.get("length_controlled_winrate")
    if not listed or not math.isclose(float(found["win_rate"]) / 100, rate, abs_tol=1e-6):
        return None
    return float(listed) / 100


def _row(arm: str, item: dict[str, Any], settings: dict[str, Any]) -> dict[str, Any]:
    win = item["metrics"]["win_rate"]
    return {
        "instruction": item["prompt"],
        "output_1": item["rival_answer"],
        "output_2": item["answer"],
        "generator_1": settings["rival"],
        "generator_2": arm,
        "preference": None if win is None else 1 + win,
    }
