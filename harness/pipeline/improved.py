"""The next round of a comparison: which sampled answers become pairs, and its file. Pure."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from harness.pipeline.spec import ComparisonSpec
from harness.records import Round

SPLITS = (
    "config",
    "revision",
    "train_split",
    "test_split",
    "test_fraction",
    "limit",
    "test_limit",
    "label_noise",
)
"""Settings that chose among the old source's rows, all of which the new folder holds."""
BY_RUNS = ("look", "halvings", "development", "fell_back")


@dataclass(frozen=True)
class NewPairs:
    """Pairs as rows, and how many prompts gave none, by reason."""

    rows: list[dict[str, Any]]
    left_out: Mapping[str, int]


def best_against_worst(
    samples: Sequence[Mapping[str, Any]], test_prompts: frozenset[str], old: frozenset[str], source: str
) -> NewPairs:
    """The best graded answer of a prompt as chosen, the worst as rejected; of equal ones the first drawn.

    No pair has a prompt of the test, whatever the samples say; `old` are pairs that there are already, as
    `same_pair` names them.
    """
    rows: list[dict[str, Any]] = []
    left_out = Counter[str]()
    for sample in samples:
        told = [one for one in sample["answers"] if one["grade"] is not None and one["text"].strip()]
        best = max(told, key=lambda one: one["grade"], default=None)
        worst = min(told, key=lambda one: one["grade"], default=None)
        if plain(sample["prompt"]) in test_prompts:
            left_out["a prompt of the test"] += 1
        elif best is None or worst is None:
            left_out["no answer that was graded"] += 1
        elif best["grade"] == worst["grade"]:
            left_out["all answers graded alike"] += 1
        else:
            row = {"prompt": sample["prompt"], "chosen": best["text"], "rejected": worst["text"]}
            if same_pair(row) in old:
                left_out["a pair that there is already"] += 1
                continue
            grades = {"grade_chosen": best["grade"], "grade_rejected": worst["grade"]}
            rows.append({**row, **grades, "source": source})
    return NewPairs(rows, left_out)


def of_people(
    voted: Sequence[Mapping[str, Any]], test_prompts: frozenset[str], old: frozenset[str], source: str
) -> NewPairs:
    """What people preferred in `harness arena`, but for prompts of the test and pairs there are already."""
    rows: list[dict[str, Any]] = []
    left_out = Counter[str]()
    for one in voted:
        asked = one["prompt"]
        prompt = [{"role": "user", "content": asked}] if isinstance(asked, str) else asked
        row = {"prompt": prompt, "chosen": one["chosen"], "rejected": one["rejected"]}
        if one["split"] == "test" or plain(prompt) in test_prompts:
            left_out["a prompt of the test"] += 1
        elif same_pair(row) in old:
            left_out["a pair that there is already"] += 1
        else:
            rows.append({**row, "source": source})
    return NewPairs(rows, left_out)


def plain(messages: Sequence[Mapping[str, str]]) -> str:
    """What the user said, without case and blanks: a test prompt that is typed anew is still one."""
    said = [one["content"] for one in messages if one["role"] == "user"]
    return json.dumps([" ".join(text.lower().split()) for text in said])


def same_pair(row: Mapping[str, Any]) -> str:
    """What is equal for equal pairs."""
    return json.dumps([row["prompt"], row["chosen"], row["rejected"]])


def old_row(row: Mapping[str, Any]) -> dict[str, Any]:
    """A prepared pair as a row that is read as the same pair, with its id."""
    return {
        "pair_id": str(row["id"]),
        "prompt": json.loads(row["prompt"]),
        "chosen": row["chosen"],
        "rejected": row["rejected"],
    }


def next_comparison(spec: ComparisonSpec, folder: str, chain: Sequence[Round]) -> dict[str, Any]:
    """The file of the next round: the run's settings, the pairs of `folder`, and the rounds before it."""
    kept = spec.model_dump(mode="json", by_alias=True, exclude_defaults=True, exclude=set(BY_RUNS))
    data = {key: value for key, value in kept.get("data", {}).items() if key not in SPLITS}
    data |= {"source": folder, "train_split": "train", "test_split": "test"}
    name = spec.name.partition("_round")[0]
    return {
        "kind": "comparison",
        **kept,
        "name": f"{name}_round{len(chain) + 1}",
        "data": data,
        "chain": [one.model_dump(mode="json") for one in chain],
    }
