"""A vllm that a test makes up: the part of its interface that is used, answered by transformers.

Names, defaults and what is refused are vLLM's: arguments that it does not know raise TypeError.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib.machinery import ModuleSpec
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

RANKS = (8, 16, 32, 64, 128, 256, 320, 512)


@dataclass(frozen=True)
class SamplingParams:
    temperature: float = 1.0
    top_p: float = 1.0
    seed: int | None = None
    stop_token_ids: list[int] | None = None
    ignore_eos: bool = False
    max_tokens: int = 16
    detokenize: bool = True


@dataclass(frozen=True)
class LoRARequest:
    lora_name: str
    lora_int_id: int
    lora_path: str


@dataclass
class LLM:
    """Loads like vLLM, and answers one prompt at a time; its processes end by `engine_core.shutdown`."""

    model: str
    tokenizer: str | None = None
    trust_remote_code: bool = False
    dtype: str = "auto"
    revision: str | None = None
    seed: int = 0
    max_model_len: int | None = None
    gpu_memory_utilization: float = 0.9
    generation_config: str = "auto"
    enable_lora: bool = False
    max_lora_rank: int = 16
    asked: list[dict[str, Any]] = field(default_factory=list)

    made = []  # noqa: RUF012 (all that this process started)

    def __post_init__(self) -> None:
        import torch
        from transformers import AutoModelForCausalLM

        assert not self.enable_lora or self.max_lora_rank in RANKS
        self.running = True
        self.weights = AutoModelForCausalLM.from_pretrained(self.model, dtype=getattr(torch, self.dtype))
        self.weights.eval()
        self.llm_engine = SimpleNamespace(engine_core=SimpleNamespace(shutdown=self._end))
        type(self).made.append(self)

    def _end(self) -> None:
        self.running = False

    def generate(
        self,
        prompts: Sequence[dict[str, list[int]]],
        sampling_params: Sequence[SamplingParams],
        *,
        use_tqdm: bool = True,
        lora_request: LoRARequest | None = None,
    ) -> list[Any]:
        assert self.running
        assert lora_request is None or self.enable_lora
        assert len(prompts) == len(sampling_params)
        self.asked.append({"prompts": len(prompts), "adapters": lora_request, "sampling": sampling_params[0]})
        model = self._with(lora_request)
        return [
            SimpleNamespace(outputs=[SimpleNamespace(token_ids=tuple(self._answer(model, one, params)))])
            for one, params in zip(prompts, sampling_params, strict=True)
        ]

    def _with(self, adapters: LoRARequest | None) -> Any:
        import peft

        if adapters is None:
            return self.weights
        return peft.PeftModel.from_pretrained(self.weights, adapters.lora_path).eval()

    def _answer(self, model: Any, prompt: dict[str, list[int]], params: SamplingParams) -> list[int]:
        import torch

        ids = prompt["prompt_token_ids"]
        assert self.max_model_len is None or len(ids) + params.max_tokens <= self.max_model_len
        drawn = torch.Generator().manual_seed(params.seed or 0)
        new: list[int] = []
        while len(new) < params.max_tokens:
            with torch.no_grad():
                logits = model(input_ids=torch.tensor([[*ids, *new]])).logits[0, -1].float()
            if params.temperature:
                odds = (logits / params.temperature).softmax(0)
                new.append(int(torch.multinomial(odds, 1, generator=drawn)))
            else:
                new.append(int(logits.argmax()))
            if new[-1] in (params.stop_token_ids or []):
                break
        return new


def install(monkeypatch: pytest.MonkeyPatch) -> list[LLM]:
    """Let `import vllm` find this one; returns the engines that are started, in order."""
    started: list[LLM] = []
    monkeypatch.setattr(LLM, "made", started)
    package, lora, request = (ModuleType(name) for name in ("vllm", "vllm.lora", "vllm.lora.request"))
    package.LLM, package.SamplingParams = LLM, SamplingParams  # type: ignore[attr-defined]
    request.LoRARequest = LoRARequest  # type: ignore[attr-defined]
    for module in (package, lora, request):
        module.__spec__ = ModuleSpec(module.__name__, None)
        monkeypatch.setitem(sys.modules, module.__name__, module)
    return started
