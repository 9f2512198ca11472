"""What stages' digests cover: made into one digest, and compared part by part. Pure."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from typing import Any

from harness.records import Covers

TEST_PAIRS = "test pairs"
"""What a training stage's probes read, beside what its digest covers."""
TEST_SETTINGS = ("test_limit", "test_overlap")
OPTIONAL: Mapping[str, tuple[tuple[str, tuple[Any, ...]], ...]] = {
    "bitsandbytes": (
        ("quantization", ("4bit", "8bit")),
        ("optimizer", ("adamw_8bit", "paged_adamw_32bit", "paged_adamw_8bit")),
    ),
    "flash-attn": (("attention", ("flash_attention_2",)),),
    "liger-kernel": (("use_liger_kernel", (True,)),),
    "vllm": (("backend", ("vllm",)), ("engine", ("vllm",))),
}
"""Packages that are used where a setting asks for them: (key, values that ask)."""


def digest_of(value: Any) -> str:
    """A short sha256 of `value` as canonical JSON: 16 hex digits."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def digest_of_covers(covers: Covers) -> str:
    """A stage's digest; what stands in `beside` is no part of it."""
    return digest_of(covers.model_dump(mode="json", exclude={"beside"}))


def for_training(prepare: Covers, *, sft_data: str | None, reads_test: bool = False) -> str:
    """What a training stage uses of the prepared data: a digest that other changes leave alone.

    The limits of the test split shape the test pairs alone, and another arm's SFT data is none of its
    business. Probes do read test pairs (`reads_test` is for their digest), but change no weight and no
    cost. `data.test_split` and `data.test_fraction` count always: where the source has no test split they
    take its pairs out of the training data, and so do `data.validation_split` and `validation_fraction`
    where some stage stops early.
    """
    data = dict(prepare.config["data"])
    if not reads_test:
        data = {key: value for key, value in data.items() if key not in TEST_SETTINGS}
    sft_of_arm = {arm: spec for arm, spec in prepare.config["sft_data"].items() if arm == sft_data}
    others = {sft_source(arm) for arm in prepare.config["sft_data"] if arm != sft_data}
    return digest_of_covers(
        prepare.model_copy(
            update={
                "config": {**prepare.config, "data": data, "sft_data": sft_of_arm},
                "files": {name: value for name, value in prepare.files.items() if name not in others},
            }
        )
    )


def sft_source(arm: str) -> str:
    """What an arm's own SFT data is called among the files that a stage covers."""
    return f"SFT data of {arm}"


def judges_in(config: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every judge that settings name, with its own settings: `judge` and `judge_config`, at any depth."""
    if isinstance(config, Mapping):
        judge_config = config.get("judge_config") or {}
        if isinstance(config.get("judge"), str):
            yield config["judge"], dict(judge_config)
        for value in config.values():
            yield from judges_in(value)
    elif isinstance(config, list | tuple):
        for value in config:
            yield from judges_in(value)


def optional_packages(config: Any) -> set[str]:
    """The packages of `OPTIONAL` that some setting asks for."""
    pairs = list(_pairs(config))
    return {
        package
        for package, asks in OPTIONAL.items()
        if any(key == asked and value in values for asked, values in asks for key, value in pairs)
    }


def _pairs(config: Any) -> Iterator[tuple[str, Any]]:
    """(key, plain value) at any depth."""
    items = config.items() if isinstance(config, Mapping) else enumerate(config)
    for key, value in items:
        if isinstance(value, Mapping | list | tuple):
            yield from _pairs(value)
        else:
            yield str(key), value


def changes(old: Covers, new: Covers) -> list[str]:
    """What differs between two stages' covers, a line each: part, place, old and new value."""
    lines = []
    for part, before, after in zip(_PARTS, _flat_parts(old), _flat_parts(new), strict=True):
        for name in sorted(before.keys() | after.keys()):
            if before.get(name) != after.get(name):
                lines.append(_change(part, name, before.get(name), after.get(name)))
    return lines


_PARTS = ("kind", "seed", "device", "config", "inputs", "code", "packages", "files", "environment")
_BY_DIGEST = ("code", "files", "inputs")


def _flat_parts(covers: Covers) -> Iterator[dict[str, Any]]:
    dumped = covers.model_dump(mode="json")
    for part in _PARTS:
        value = dumped[part]
        yield dict(_flat(value)) if isinstance(value, dict) else {"": value}


def _flat(config: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in config.items():
        if isinstance(value, dict) and value:
            yield from _flat(value, f"{before}{key}.")
        else:
            yield f"{before}{key}", value


def _change(part: str, name: str, old: Any, new: Any) -> str:
    place = f"{part} {name}".strip()
    if part in _BY_DIGEST:
        what = "is new" if old is None else "is gone" if new is None else "changed"
        return f"{place} {what}"
    shown = [("none" if value is None else json.dumps(value)) for value in (old, new)]
    return f"{place}: {shown[0]} -> {shown[1]}"
