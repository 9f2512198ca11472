"""Pairs from wherever they are, by split: the embedded world, a file, a folder, the hub."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from harness.data.schemas import Pair, to_conversations, to_pairs
from harness.data.sources import find_splits, roles_of, sft_split
from harness.data.split import flip_labels, hold_out, limit_pairs, split_pairs, without_overlap
from harness.errors import UserError
from harness.pipeline.data_spec import DataSpec

EMBEDDED_TRAIN, EMBEDDED_TEST = 896, 400


@dataclass(frozen=True)
class Validation:
    """What early stopping selects on: pairs, where they came from, how many there were before those
    were dropped whose prompt stands in training or in the test."""

    pairs: list[Pair]
    origin: str
    available: int

    @property
    def overlap(self) -> int:
        """Pairs that were dropped because their prompt stands in training or in the test."""
        return self.available - len(self.pairs)


@dataclass(frozen=True)
class RawSplit:
    """The pairs of a split, how many there were before limit and overlap, and rows that were left out."""

    pairs: list[Pair]
    available: int
    diverging: list[str]


@dataclass(frozen=True)
class RawPairs:
    """All splits, before any check.

    `origin` says where the test split came from, `train_available` and `test_available` how
    many pairs there were before `data.limit` and `data.test_limit`; `test_overlap` how many test
    pairs were dropped because training has their prompt. `diverging` names, by split, rows that were
    left out because chosen and rejected share no prompt. With `development` the test is made of development
    pairs.
    """

    train: list[Pair]
    test: list[Pair]
    origin: str
    train_available: int
    test_available: int
    test_overlap: int = 0
    validation: Validation | None = None
    diverging: Mapping[str, list[str]] = field(default_factory=dict)
    development: bool = False

    def held_out(self) -> list[Pair]:
        """Pairs that choose something, so that nothing is trained on their prompts."""
        if self.development:
            return self.test
        return self.validation.pairs if self.validation is not None else []

    def splits(self) -> dict[str, RawSplit]:
        """Train, test and, where it was asked for, validation."""
        parts = {"train": (self.train, self.train_available), "test": (self.test, self.test_available)}
        if self.validation is not None:
            parts["validation"] = (self.validation.pairs, self.validation.available)
        return {name: RawSplit(*part, self.diverging.get(name, [])) for name, part in parts.items()}


def load_pairs(spec: DataSpec, *, validation: bool = False, development: bool = False) -> RawPairs:
    """The pairs of `spec`; raises UserError with the place of the first thing that is wrong.

    With `validation` some are held out for early stopping: the split that `data.validation_split`
    names, or a share of the training pairs. Labels are flipped in the pairs that are trained on alone. With
    `development` those that are held out stand in the test's place, whose own pairs are left out.
    """
    if development:
        return _development(spec, validation=validation)
    raw = _read_pairs(spec, validation=validation)
    return replace(raw, train=flip_labels(raw.train, spec.label_noise))


def _read_pairs(spec: DataSpec, *, validation: bool) -> RawPairs:
    if spec.source == "embedded":
        raw = _embedded(spec)
        own = _world(spec.validation_split, EMBEDDED_TEST) if spec.validation_split else None
        return _with_validation(raw, own, raw.test, spec) if validation else raw
    splits, where = find_splits(spec)
    names = roles_of(splits, spec, where)
    parts = {role: to_pairs(*splits[name]()) for role, name in names.items()}
    pairs = {role: part.pairs for role, part in parts.items()}
    train, test, origin = split_pairs(pairs, spec.test_fraction)
    kept = without_overlap(train, test) if spec.test_overlap == "drop" else test
    if test and not kept:
        raise UserError(
            f"the prompt of every one of {len(test)} test pairs stands in training",
            where=spec.source,
            remedy="give another test split, or --set data.test_overlap=keep to test on known prompts",
        )
    raw = RawPairs(
        train=limit_pairs(train, spec.limit),
        test=limit_pairs(kept, spec.test_limit),
        origin=origin,
        train_available=len(train),
        test_available=len(test),
        test_overlap=len(test) - len(kept),
        diverging={role: part.diverging for role, part in parts.items()},
    )
    return _with_validation(raw, pairs.get("validation"), test, spec) if validation else raw


def _with_validation(raw: RawPairs, own: list[Pair] | None, test: list[Pair], spec: DataSpec) -> RawPairs:
    """`raw` with validation pairs: `own`, or some of the training pairs; no prompt stands twice.

    `test` are all pairs of the test split, so that neither its limit nor `data.test_overlap` changes
    what is trained on.
    """
    if own is None:
        train, pairs = hold_out(raw.train, test, spec.validation_fraction)
        origin = f"{spec.validation_fraction:.0%} of the training prompts, by hash"
        validation = Validation(pairs, origin, len(pairs))
    else:
        train, pairs = raw.train, without_overlap([*raw.train, *test], own)
        validation = Validation(pairs, f"the source's split {spec.validation_split}", len(own))
    if not train or not pairs:
        raise UserError(
            "has too few prompts to train on some and hold others out for early stopping"
            if own is None
            else f"the prompt of every one of {len(own)} validation pairs stands in training or in the test",
            where=spec.source,
            remedy="give another data.validation_split, or leave early_stopping out",
        )
    return replace(raw, train=train, validation=validation)


def _development(spec: DataSpec, *, validation: bool) -> RawPairs:
    """What trials see: pairs to train on, and development pairs to be scored on.

    The embedded world has a split for them, where no stage stops early by a share of the training pairs.
    """
    if spec.source == "embedded" and spec.validation_split is None and not validation:
        spec = spec.model_copy(update={"validation_split": "test" if spec.test_split == "dev" else "dev"})
    raw = load_pairs(spec, validation=True)
    held = raw.validation
    assert held is not None
    return replace(
        raw,
        test=limit_pairs(held.pairs, spec.test_limit),
        origin=held.origin,
        test_available=held.available,
        test_overlap=held.overlap,
        validation=held if validation else None,
        diverging={"train": raw.diverging.get("train", []), "test": raw.diverging.get("validation", [])},
        development=True,
    )


def load_conversations(spec: DataSpec) -> RawPairs:
    """SFT data of an arm's own: all of the training split, no test split."""
    if spec.source == "embedded":
        raw = _embedded(spec)
        return RawPairs(raw.train, [], "none", raw.train_available, 0)
    splits, where = find_splits(spec)
    rows = to_conversations(*splits[sft_split(splits, spec, where)]())
    return RawPairs(limit_pairs(rows, spec.limit), [], "none", len(rows), 0)


def _embedded(spec: DataSpec) -> RawPairs:
    test_split = spec.test_split or "test"
    if test_split == spec.validation_split:
        remedy = "name dev for one and test for the other"
        raise UserError(f'split "{test_split}" is named for the test and for validation', remedy=remedy)
    train = _world("train", spec.limit or EMBEDDED_TRAIN)
    test = _world(test_split, spec.test_limit or EMBEDDED_TEST)
    return RawPairs(train, test, f"the world's {test_split} split", len(train), len(test))


def _world(split: Any, count: int) -> list[Pair]:
    from harness.data.embedded.world import pairs

    if split not in ("train", "test", "dev"):
        raise UserError(f'the embedded world has no split "{split}"', remedy="use test or dev")
    return [Pair(r["id"], r["prompt"], r["chosen"], r["rejected"]) for r in pairs(split, count)]
