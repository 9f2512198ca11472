"""Log-probs of given tokens from hidden states: at scored positions only, in chunks, in float32.

Training, probes and scoring all use this head. Logits of unscored positions never exist. What is kept for
the backward pass are hidden states and one number a position, and logits are made again there, unless they
fit a chunk.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass, replace
from typing import Any

import torch
from peft.utils.other import ModulesToSaveWrapper

from harness.generate.flat import FlatRow
from harness.generate.flat_attention import own_attention
from harness.generate.precision import computing
from harness.generate.token_log_probs import Transform, logits_of_states, token_log_probs
from harness.measure.device import total_bytes

CPU_CHUNK_BYTES = 1 << 25
GPU_SHARE = 1 / 256
CHECKED_POSITIONS = 64
TOLERANCE = 1e-4
LOW_PRECISION_TOLERANCE = 5e-2


@dataclass(frozen=True)
class Head:
    """How log-probs of one model are made. `difference` is the largest one seen between this head's
    and the model's own log-probs; beyond `tolerance` the head takes full logits and says why. One that
    `keeps` logits does not make them again in the backward pass."""

    chunk: int | None
    transform: Transform
    difference: float | None
    tolerance: float
    reason: str | None = None
    keeps: bool = False


def attach(model: Any, sample: torch.Tensor, most_scored: int | None = None) -> Head:
    """Let `model(input_ids=, positions=)` return log-probs at flat positions.

    `model` is a transformers causal LM or a peft wrapper of one. `positions` index (batch * length)
    and hold those from which a next token is predicted: `targets`, or else the token after each. `flat_row`
    says that `input_ids` are one. `sample` (1, length) are token ids on which the head is compared with the
    model's own logits before it is used. Where the logits of `most_scored` positions, the most that are
    ever asked for, are no more than a chunk, they are kept from forward to backward.
    """
    inner = causal_lm(model)
    own_forward = inner.forward
    head = checked_head(inner, sample)
    if head.chunk is not None and most_scored is not None and head.transform.cap is None:
        head = replace(head, keeps=most_scored <= head.chunk)

    @functools.wraps(own_forward)
    def forward(
        *args: Any,
        positions: torch.Tensor | None = None,
        targets: torch.Tensor | None = None,
        flat_row: FlatRow | None = None,
        **kwargs: Any,
    ) -> Any:
        if positions is None:
            with own_attention(inner):
                return own_forward(*args, **kwargs)
        return log_probs_at(inner, head, kwargs["input_ids"], positions, targets, flat_row)

    inner.forward = forward
    return head


def causal_lm(model: Any) -> Any:
    """The transformers model inside a peft wrapper, or the model itself."""
    if hasattr(model, "peft_config") and hasattr(model, "get_base_model"):
        return model.get_base_model()
    return model


def chunk_positions(vocabulary: int, device: torch.device) -> int:
    """Positions whose float32 logits fit the room that a device spares for them."""
    room: float = CPU_CHUNK_BYTES
    if device.type != "cpu":
        room = (total_bytes() or 0) * GPU_SHARE
    return max(1, int(room // (4 * vocabulary)))


def log_probs_at(
    inner: Any,
    head: Head,
    ids: torch.Tensor,
    positions: torch.Tensor,
    targets: torch.Tensor | None = None,
    flat_row: FlatRow | None = None,
) -> torch.Tensor:
    """Log-probs of `targets`, or of the tokens after flat `positions`, by a causal LM and its head:
    (positions,)."""
    if targets is None:
        targets = ids.reshape(-1).index_select(0, positions + 1)
    states = states_at(inner, head, ids, positions, flat_row)
    if head.chunk is None:
        return states.float().log_softmax(dim=1).gather(1, targets[:, None]).squeeze(1)
    output = output_layer(inner)
    with computing(inner):
        return token_log_probs(
            states,
            output.weight,
            output.bias,
            targets,
            chunk=head.chunk,
            keeps=head.keeps,
            transform=head.transform,
        )


def states_at(
    inner: Any, head: Head, ids: torch.Tensor, positions: torch.Tensor, flat_row: FlatRow | None = None
) -> torch.Tensor:
    """What `logits_of` makes logits of, at flat `positions` of (batch * length): (positions, width).

    No mask is given: sequences are padded on the right, where nothing that is scored looks, and
    causal attention without a mask has the faster kernels. A flat row is told where its tokens stand.
    """
    inputs: dict[str, Any] = {"input_ids": ids, "use_cache": False}
    if flat_row is not None:
        inputs |= {"position_ids": flat_row.position_ids, "flat_row": flat_row}
    with computing(inner):
        if head.chunk is None:
            # The class's own forward, which nothing has been attached to.
            rows = type(inner).forward(inner, **inputs).logits
        else:
            rows = inner.base_model(**inputs).last_hidden_state
    return rows.reshape(-1, rows.shape[-1]).index_select(0, positions)


def logits_of(inner: Any, head: Head, states: torch.Tensor) -> torch.Tensor:
    """float32 logits of `states`: (positions, vocabulary)."""
    if head.chunk is None:
        return states.float()
    output = output_layer(inner)
    with computing(inner):
        return logits_of_states(states.to(output.weight.dtype), output.weight, output.bias, head.transform)


def output_layer(inner: Any) -> Any:
    """The layer that makes logits now: of one that is trained beside adapters, the active copy."""
    output = inner.get_output_embeddings()
    if isinstance(output, ModulesToSaveWrapper):
        plain = output.disable_adapters or not output.active_adapters
        return output.original_module if plain else output.modules_to_save[output.active_adapters[0]]
    return output


def checked_head(model: Any, sample: torch.Tensor) -> Head:
    """The chunked head, or full logits where it does not give the model's own log-probs."""
    inner = causal_lm(model)
    output, config = output_layer(inner), inner.config.get_text_config()
    transform = Transform.of_config(config)
    device = output.weight.device
    with computing(inner):
        exact = output.weight.dtype == torch.float32 and not torch.is_autocast_enabled(device.type)
    tolerance = TOLERANCE if exact else LOW_PRECISION_TOLERANCE
    if type(output) is not torch.nn.Linear:
        return Head(None, transform, None, tolerance, f"the output layer is a {type(output).__name__}")
    chunk = chunk_positions(output.weight.shape[0], device)
    difference = _difference(inner, sample[:, : CHECKED_POSITIONS + 1].to(device), transform, chunk)
    if difference <= tolerance:
        return Head(chunk, transform, difference, tolerance)
    reason = f"its log-probs differed by {difference:.3g} from those of the model's own logits"
    return Head(None, transform, difference, tolerance, reason)


def _difference(inner: Any, ids: torch.Tensor, transform: Transform, chunk: int) -> float:
    """The largest absolute difference between the chunked head's log-probs and the model's own."""
    positions = torch.arange(ids.shape[1] - 1, device=ids.device)
    was_training = inner.training
    inner.eval()
    with torch.no_grad():
        whole, chunked = (
            log_probs_at(inner, Head(size, transform, None, 0.0), ids, positions) for size in (None, chunk)
        )
    inner.train(was_training)
    return float((whole - chunked).abs().max())
