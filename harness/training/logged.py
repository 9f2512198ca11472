"""What every step of a matched method logs."""

from __future__ import annotations

import torch

from harness.methods import Objective, PairLogProbs, log_odds
from harness.training.trace import Totals, Trace


def log_terms(
    trace: Trace,
    batch: PairLogProbs,
    objective: Objective,
    terms: dict[str, torch.Tensor],
    totals: Totals,
    *,
    void: bool,
) -> None:
    """Metrics that all methods share, and the method's own, one value a pair; of a void micro-batch
    their names alone."""
    pairs = len(batch.chosen.response)
    kept = slice(0, 0 if void else None)
    with torch.no_grad():
        nll = batch.chosen.negative_log_likelihood().sum() / totals.nll_tokens
        # The mean over the effective batch's pairs of these is the sum of the micro-batches' shares.
        shares = {"nll": nll, **{f"loss_{name}": term for name, term in terms.items()}}
        for name, share in shares.items():
            trace.add(name, (share.detach() * (totals.pairs / pairs)).expand(pairs)[kept])
        for name, values in {**_shared_metrics(batch), **objective.metrics}.items():
            trace.add(name, values[kept])


def _shared_metrics(batch: PairLogProbs) -> dict[str, torch.Tensor]:
    """What every method logs: (pairs,) each."""
    chosen = batch.chosen.means()
    if batch.rejected is None:
        return {"logp_chosen": chosen}
    rejected = batch.rejected.means()
    odds = log_odds(chosen, rejected)
    return {
        "logp_chosen": chosen,
        "logp_rejected": rejected,
        "margin": chosen - rejected,
        "preference_accuracy": (chosen > rejected).float() + 0.5 * (chosen == rejected).float(),
        "log_odds_margin": odds,
        "log_odds_ratio": torch.nn.functional.logsigmoid(odds),
    }
