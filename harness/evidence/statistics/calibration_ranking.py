"""Does the interval of a ranking hold? Simulated judgments of arms whose chances are known.

The grid is that of length-controlled rates: 20 to 800 prompts, chances of 0.5 to 0.985. Three arms meet on
every prompt, each pair once, and lean together: one draw a prompt decides all three. Or one arm meets the
anchor at three seeds on the same prompts, with an intraclass correlation that stands in the row.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import numpy as np

from harness.evidence.statistics.bradley_terry import Judgment, outcomes_of
from harness.evidence.statistics.calibration_cases import Cell
from harness.evidence.statistics.calibration_length import ITEMS, RATES, Sets, chance_case, won
from harness.evidence.statistics.score_interval import Array, Outcomes

THIRD_ARM = 0.4
"""Log-odds of the third arm against the anchor."""
SEEDS = 3
CORRELATIONS = (0.3,)


def ranking_cases(simulations: int) -> Iterator[Cell]:
    """Every cell of the grid."""
    kinds = {f"ranking of three arms: {kind}": _three(kind) for kind in ("hard", "weighted")}
    kinds |= {f"ranking over {SEEDS} seeds: correlation {c:g}": _seeds(c) for c in CORRELATIONS}
    for prompts in ITEMS:
        for name, sets in kinds.items():
            for rate in RATES:
                yield partial(chance_case, name, prompts, rate, simulations, sets)


def _three(kind: str) -> Sets:
    """Arm against anchor, third arm against anchor, arm against third arm."""

    def sets(rng: np.random.Generator, truth: Array, prompts: int) -> Outcomes:
        log_odds = np.stack([truth, np.full_like(truth, THIRD_ARM), truth - THIRD_ARM], axis=-1)
        chance = np.broadcast_to(1 / (1 + np.exp(-log_odds))[:, None], (len(truth), prompts, 3))
        if kind == "hard":
            verdicts = (rng.random((len(truth), prompts, 1)) < chance).astype(float)
        else:
            verdicts = won(kind, rng, chance)
        pairs = (("arm", "anchor"), ("third", "anchor"), ("arm", "third"))
        return _judged(verdicts.reshape(len(truth), -1), pairs, prompts)

    return sets


def _seeds(correlation: float) -> Sets:
    """One arm against the anchor at every seed; prompts and seeds draw from one normal threshold."""
    from scipy import special

    def sets(rng: np.random.Generator, truth: Array, prompts: int) -> Outcomes:
        shared = np.sqrt(correlation) * rng.standard_normal((len(truth), prompts, 1))
        own = np.sqrt(1 - correlation) * rng.standard_normal((len(truth), prompts, SEEDS))
        threshold = special.ndtri(1 / (1 + np.exp(-truth)))[:, None, None]
        verdicts = (shared + own < threshold).astype(float)
        return _judged(verdicts.reshape(len(truth), -1), (("arm", "anchor"),) * SEEDS, prompts)

    return sets


def _judged(verdicts: Array, pairs: tuple[tuple[str, str], ...], prompts: int) -> Outcomes:
    """The design that `ranked` would make of these pairs, a prompt each, with all data sets' verdicts."""
    judgments = [Judgment(a, b, 0.5, str(p)) for p in range(prompts) for a, b in pairs]
    shape = outcomes_of(judgments, "arm", "anchor")
    return Outcomes(verdicts, shape.design, shape.starts)
