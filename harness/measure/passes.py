"""FLOPs of forward passes alone (answers, scores), tallied by hooks and formulas.

A pass over q new tokens of a sequence that has k in all costs 2 FLOPs a block weight and new token,
4 * layers * width * q * k in attention, and 2 * vocabulary * hidden a position that reaches the
head (Kaplan et al. 2020, arXiv 2001.08361, section 2.1; padding counts).
"""

from __future__ import annotations

from typing import Any

from harness.measure.theory import ModelShape


class PassTally:
    """Counts what goes through a causal LM between `start` and `stop`.

    `tokens` are new ones with padding, `flops` those of blocks, attention and head.
    """

    def __init__(self, model: Any) -> None:
        self._model = model
        self._shape = ModelShape.of_model(model)
        self._handles: list[Any] = []
        self.tokens = 0
        self.flops = 0.0

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
        cache = kwargs.get("past_key_values")
        known = int(cache.get_seq_length()) if cache is not None else new
        shape = self._shape
        self.tokens += batch * new
        self.flops += 2.0 * (shape.body + shape.lora) * batch * new
        self.flops += 4.0 * shape.layers * shape.attention_width * batch * new * max(known, new)

    def _on_head(self, module: Any, args: Any, output: Any) -> None:
        positions = output.numel() // output.shape[-1]
        self.flops += 2.0 * self._shape.vocabulary * self._shape.hidden * positions
