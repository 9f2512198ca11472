"""What LoRA's settings name is there, and what is adapted can learn: peft passes over both silently."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from transformers.pytorch_utils import Conv1D

from harness.errors import UserError, nearest
from harness.pipeline.training_spec import LoraSpec

# A state-space mixer's kernels take the weights of these, and never call them as layers.
READ_PAST_ADAPTERS = ("dt_proj", "out_proj", "x_proj")
NEVER_CALLED = "dt_proj"
"""Of those the one that transformers' own code takes the weights of as well."""


def adaptable_layers(model: Any) -> list[str]:
    """Names of linear layers, the output layer aside, whose adapters take part in every product."""
    head, names = model.get_output_embeddings(), set()
    for module in model.modules():
        for name, layer in module.named_children():
            linear = isinstance(layer, (torch.nn.Linear, Conv1D)) and layer is not head
            if linear and not (_mixes_states(module) and name in READ_PAST_ADAPTERS):
                names.add(name)
    return sorted(names)


def remedy_of_targets(model: Any) -> str:
    """What to set instead of layers that cannot be adapted."""
    usable = ", ".join(adaptable_layers(model))
    return f"set training.lora.target_modules to a list of its linear layers, for all arms: [{usable}]"


def check_names(model: Any, spec: LoraSpec) -> None:
    """Raise UserError for a module that is named and not there; peft passes over it if another one is."""
    if not isinstance(spec.target_modules, str):
        for name in _absent(model, spec.target_modules):
            raise _no_such("target_modules", name, adaptable_layers(model), remedy_of_targets(model))
    for name in _absent(model, spec.modules_to_save):
        whole = sorted({path.rpartition(".")[2] for path, one in model.named_modules() if _has_weights(one)})
        remedy = f"set training.lora.modules_to_save to some of its modules, for all arms: {', '.join(whole)}"
        raise _no_such("modules_to_save", name, whole, remedy)


def check_they_learn(model: Any, remedy: str) -> None:
    """Raise UserError for adapters beside a layer of which the model reads the weights alone."""
    for module in model.modules():
        layer = getattr(module, NEVER_CALLED, None) if _mixes_states(module) else None
        if layer is not None and hasattr(layer, "lora_A"):
            raise UserError(
                f"lora.target_modules: adapters of {NEVER_CALLED} would not learn (a state-space mixer reads "
                "its weights, and never calls it as a layer)",
                remedy=remedy,
            )


def _absent(model: Any, names: Iterable[str]) -> list[str]:
    """Names that no module's path is or ends with, as peft reads them."""
    paths = [path for path, _ in model.named_modules()]
    return [name for name in names if not any(f".{path}".endswith(f".{name}") for path in paths)]


def _no_such(setting: str, name: str, known: list[str], remedy: str) -> UserError:
    guess = nearest(name, known)
    hint = f'did you mean "{guess}"? ' if guess else ""
    fact = f"lora.{setting}: {name} cannot be used with this model (no module is called that)"
    return UserError(fact, remedy=f"{hint}{remedy}")


def _mixes_states(module: Any) -> bool:
    return hasattr(module, "A_log")


def _has_weights(module: Any) -> bool:
    return next(module.parameters(recurse=False), None) is not None
