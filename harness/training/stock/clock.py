"""TRL's trainers prepare their data while they are made; that is no part of loading a model."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import datasets
from datasets.fingerprint import generate_random_fingerprint

from harness.measure.window import Window

DATA = "data"


@contextlib.contextmanager
def preparing_data_apart(window: Window) -> Iterator[None]:
    """What `Dataset.map` does inside is on the clock of `data`.

    datasets names the cache of a mapped column after everything that the function refers to, which for
    a method of a trainer is all of its model's weights. Nothing is cached here, so it gets any name.
    """
    own_map = datasets.Dataset.map

    def apart(self: datasets.Dataset, *args: Any, **kwargs: Any) -> Any:
        with window.phase(DATA):
            return own_map(self, *args, **{"new_fingerprint": generate_random_fingerprint(), **kwargs})

    datasets.Dataset.map = apart
    try:
        yield
    finally:
        datasets.Dataset.map = own_map
