"""Reads what version 1 wrote: facts were one flat dict, and modes were prose."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from harness.records.training import (
    BatchFacts,
    HeadKind,
    ReferenceHolder,
    ReferenceMode,
    TrainFacts,
)

_REFERENCES = {
    "precomputed": (ReferenceMode.PRECOMPUTED, ReferenceHolder.NOWHERE),
    "in_loop": (ReferenceMode.IN_LOOP, ReferenceHolder.COPY),
    "in_loop: a frozen copy": (ReferenceMode.IN_LOOP, ReferenceHolder.COPY),
    "in_loop: a frozen adapter": (ReferenceMode.IN_LOOP, ReferenceHolder.ADAPTER),
    "in_loop: adapter off": (ReferenceMode.IN_LOOP, ReferenceHolder.BASE),
}
_REHEARSED = ("prediction", "peak", "out_of_memory", "device_bytes")


def facts_of_version_1(kind: str, facts: Mapping[str, Any]) -> dict[str, Any]:
    """`facts` of a stage of `kind` in the shape of version 2."""
    if kind == "train":
        return _training(facts)
    if kind == "rehearse":
        stage = {name: value for name, value in facts.items() if name not in _REHEARSED}
        outcome = {name: value for name, value in facts.items() if name in _REHEARSED}
        return {"kind": kind, "stage": _training(stage) if stage else None, **outcome}
    if kind == "prepare" and facts.get("replayed"):
        return {"kind": "replay", "source": facts["source"]}
    return {"kind": kind, **facts}


def _training(facts: Mapping[str, Any]) -> dict[str, Any]:
    """A training stage's facts; what a dict held beyond them (a class's name) is left out."""
    new = {name: value for name, value in facts.items() if name in TrainFacts.model_fields}
    if facts.get("reference") is not None:
        mode, holder = _REFERENCES[facts["reference"]]
        new["reference"] = {"mode": mode, "holder": holder, "weights": facts.get("reference_weights")}
    batches = facts.get("batches")
    if batches is not None:
        new["batches"] = {name: batches[name] for name in BatchFacts.model_fields if name in batches}
        new["head"] = {"kind": HeadKind(batches["head"])} if "head" in batches else None
    if "sequences" not in facts and "sequences_forwarded_per_pair" in facts:
        new["sequences"] = {"forwarded_per_pair": facts["sequences_forwarded_per_pair"]}
    return {"kind": "train", **new}
