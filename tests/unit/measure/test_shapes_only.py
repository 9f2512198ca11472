"""Counting on shapes alone: nothing is computed, nothing is left, batches keep their shapes."""

from __future__ import annotations

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensor

from harness.measure.counting import count, made_really, shapes_only


def test_a_product_that_no_memory_would_hold_is_counted() -> None:
    size = 1 << 24
    with shapes_only():
        counted = count(lambda: torch.empty(size, size) @ torch.empty(size, size))
    assert counted.total == 2 * size**3


def test_a_models_weights_buffers_and_gradients_stay_what_they_were() -> None:
    model = torch.nn.Sequential(torch.nn.Linear(3, 3), torch.nn.BatchNorm1d(3))
    model(torch.randn(4, 3)).sum().backward()
    before = {name: (t, t.clone()) for name, t in model.state_dict(keep_vars=True).items()}
    gradients = {name: p.grad for name, p in model.named_parameters()}
    with shapes_only(model):
        model[0].weight.data.mul_(0)
        model(torch.randn(4, 3)).sum().backward()
        assert all(isinstance(p, FakeTensor) for p in model.parameters())
        model.zero_grad()
    for name, tensor in model.state_dict(keep_vars=True).items():
        if name in before:
            assert tensor is before[name][0]
            assert torch.equal(tensor, before[name][1])
    assert all(p.grad is gradients[name] for name, p in model.named_parameters())


def test_weights_are_put_back_after_an_error() -> None:
    model = torch.nn.Linear(3, 3)
    own = model.weight
    with pytest.raises(ZeroDivisionError), shapes_only(model):
        raise ZeroDivisionError
    assert model.weight is own


def test_a_batch_is_made_with_values_and_enters_without_them() -> None:
    def make() -> dict[str, object]:
        return {"positions": torch.tensor([0, 1, 1]).nonzero().squeeze(1), "shape": "as it was"}

    assert isinstance(made_really(make)["positions"], torch.Tensor)
    with shapes_only():
        batch = made_really(make)
        assert isinstance(batch["positions"], FakeTensor)
        assert batch["positions"].shape == (2,)
    assert batch["shape"] == "as it was"


def test_shapes_that_depend_on_values_are_refused() -> None:
    values = torch.tensor([0, 1, 1])
    with shapes_only(), pytest.raises(Exception, match=r"[Dd]ynamic|data-dependent|nonzero"):
        values.nonzero()
