"""How a stage's micro-batches stand in memory: in one row, or padded, as settings and model decide.

One rule for all arms: what decides are settings that they share, the model and a pair of the shared data.
"""

from __future__ import annotations

from typing import Any

import torch

from harness.errors import UserError
from harness.generate.flat_attention import use_flat_attention, use_padded_attention, why_not_flat
from harness.generate.head import Head, causal_lm, log_probs_at
from harness.pipeline.training_spec import TrainConfig
from harness.records import LayoutFacts
from harness.training.collate import PADDED, Collator, Row
from harness.training.gates import recompute_gates
from harness.training.inputs import model_inputs

CHECKED_TOKENS = 32
"""Of a prompt, and of each answer."""


def decide_layout(
    model: Any, head: Head, config: TrainConfig, row: Row, pad_token_id: int, longest: int
) -> LayoutFacts:
    """The layout of a stage whose sequences have up to `longest` tokens, checked on `row`. Where it is
    flat, `model` takes flat rows from here on.

    Raises UserError where `config` insists on what this model cannot do.
    """
    inner = causal_lm(model)
    reason = config.why_padded() or why_not_flat(inner, longest)
    if reason is not None:
        return _padded(config, reason)
    shared = config.shared_prompt != "off"
    wanted = LayoutFacts(flat=True, shared_prompt=shared, tolerance=head.tolerance)
    difference = _difference(inner, head, _sample(row), pad_token_id, wanted)
    if difference > head.tolerance:
        return _padded(config, f"its log-probs differ by {difference:.3g} from those of padded sequences")
    use_flat_attention(inner)
    reason = None if shared else "shared_prompt: off"
    gates = config.recomputes_gates() and recompute_gates(inner) > 0
    return wanted.model_copy(update={"difference": difference, "reason": reason, "gates_recomputed": gates})


def _padded(config: TrainConfig, reason: str) -> LayoutFacts:
    for name in ("packing", "shared_prompt"):
        if getattr(config, name) == "on":
            raise UserError(
                f"{name}: on cannot be kept with this model ({reason})",
                remedy=f"leave training.{name} out, so that every arm is padded",
            )
    return PADDED.model_copy(update={"reason": reason})


def _sample(row: Row) -> Row:
    """A short pair; of data without rejected answers, half of the chosen one stands for it."""
    chosen = row["chosen_ids"][:CHECKED_TOKENS]
    rejected = row["rejected_ids"]
    rejected = chosen[: len(chosen) // 2] if rejected is None else rejected[:CHECKED_TOKENS]
    prompt = row["prompt_ids"][-CHECKED_TOKENS:]
    return Row(index=0, id=row["id"], prompt_ids=prompt, chosen_ids=chosen, rejected_ids=rejected)


def _difference(inner: Any, head: Head, sample: Row, pad_token_id: int, wanted: LayoutFacts) -> float:
    """The largest absolute difference of a log-prob of a pair between the two layouts."""
    was_training = inner.training
    inner.eval()
    with torch.no_grad():
        padded, flat = (_scored(inner, head, sample, pad_token_id, one) for one in (PADDED, wanted))
    inner.train(was_training)
    return float((padded - flat).abs().max())


def _scored(inner: Any, head: Head, sample: Row, pad_token_id: int, layout: LayoutFacts) -> torch.Tensor:
    batch = Collator(pad_token_id, pairs=True, nll_scope="prompt+response", layout=layout)([sample])
    device = next(inner.parameters()).device
    batch = {name: v.to(device) if isinstance(v, torch.Tensor) else v for name, v in batch.items()}
    inputs = model_inputs(batch)
    if layout.flat:
        use_flat_attention(inner)
    try:
        named = (inputs.get("targets"), inputs.get("flat_row"))
        return log_probs_at(inner, head, inputs["input_ids"], inputs["positions"], *named)
    finally:
        use_padded_attention(inner)
