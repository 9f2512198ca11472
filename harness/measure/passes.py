"""FLOPs of forward passes alone (answers, scores), tallied by hooks and formulas.

A pass over q new tokens of a sequence that has k in all costs 2 FLOPs a weight that a token meets and new
token, 4 * width * q * k in each attending layer, and 2 * vocabulary * hidden a position that reaches the head
(Kaplan et al. 2020, arXiv 2001.08361, section 2.1; padding counts). A layer with a window keeps no more keys
than it holds, beside the new ones. Continuous batching packs sequences into one row, and says of how many
tokens each is.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from harness.measure.model_shape import ModelShape, NoFormula


class PassTally:
    """Counts what goes through a causal LM between `start` and `stop`.

    `tokens` are new ones with padding. `flops` are those of blocks, attention and head, or None where no
    formula knows them, with the `reason`.
    """

    def __init__(self, model: Any) -> None:
        self._model = model
        self._handles: list[Any] = []
        self.tokens = 0
        self.flops: float | None = None
        self.reason: str | None = None
        try:
            self._shape = ModelShape.of_model(model)
            self.flops = 0.0
        except NoFormula as unknown:
            self.reason = str(unknown)

    def start(self) -> PassTally:
        """Hook the blocks' stack and the head."""
        stack, head = self._model.base_model, self._model.get_output_embeddings()
        self._handles = [
            stack.register_forward_hook(self._on_stack, with_kwargs=True),
            head.register_forward_hook(self._on_head),
        ]
        return self

    def stop(self) -> PassTally:
        """Take the hooks off."""
        for handle in self._handles:
            handle.remove()
        self._handles = []
        return self

    def _on_stack(self, module: Any, args: Any, kwargs: Any, output: Any) -> None:
        batch, new = output[0].shape[:2]
        self.tokens += batch * new
        if self.flops is None:
            return
        shape = self._shape
        self.flops += 2.0 * (shape.body + shape.lora) * batch * new
        width = (shape.scores + shape.values) / len(shape.windows)
        looks = _packed(kwargs) if "cu_seq_lens_k" in kwargs else _padded(kwargs, batch, new)
        self.flops += sum(2.0 * width * looks(window) for window in shape.windows)

    def _on_head(self, module: Any, args: Any, output: Any) -> None:
        if self.flops is not None:
            positions = output.numel() // output.shape[-1]
            self.flops += 2.0 * self._shape.vocabulary * self._shape.hidden * positions


Looks = Callable[[int | None], int]
"""(query, key) pairs of a pass in a layer, by its window."""


def _padded(kwargs: Mapping[str, Any], batch: int, new: int) -> Looks:
    """Every sequence looks at its own keys, padding included."""
    cache = kwargs.get("past_key_values")
    known = max(new, int(cache.get_seq_length()) if cache is not None else new)
    return lambda window: batch * new * (known if window is None else min(known, window - 1 + new))


def _packed(kwargs: Mapping[str, Any]) -> Looks:
    """One row holds all sequences. Under a mask every token is multiplied with the keys of all of them, and
    kernels that take lengths stay within a sequence."""
    masks, keys, queries = kwargs.get("attention_mask"), kwargs["cu_seq_lens_k"], kwargs["cu_seq_lens_q"]

    def looks(window: int | None) -> int:
        kind = "full_attention" if window is None else "sliding_attention"
        mask = masks.get(kind) if isinstance(masks, Mapping) else masks
        if mask is not None:
            return int(mask.shape[-2] * mask.shape[-1])
        return int((queries.diff() * keys[kind].diff()).sum())

    return looks
