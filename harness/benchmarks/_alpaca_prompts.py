"""Prompts for AlpacaEval: the test split's, AlpacaEval's own 805, or a file of yours."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

from harness.benchmarks import test_prompts
from harness.benchmarks._published import PublishedRow, checked_rows
from harness.data.files import read_file
from harness.data.schemas import digest
from harness.errors import UserError
from harness.generate import Prompt
from harness.pipeline.named import HubRepo, Named

TEST = "test"
REPOSITORY = "tatsu-lab/alpaca_eval"
OFFICIAL = {"alpaca_eval_1": "alpaca_eval.json", "alpaca_eval_2": "alpaca_eval_gpt4_baseline.json"}
DIFFICULTIES = "df_gamed.csv"
"""What alpaca_eval's length-controlled win rate knows of each instruction."""
WHERE = "benchmarks.alpaca_eval.prompt_set"


def set_needs_hub(name: str) -> bool:
    """Whether the prompts may have to be fetched."""
    return name in OFFICIAL


def set_files(name: str) -> list[Named]:
    """Where the prompts of a set come from; none for the test split, which is prepared data."""
    if name == TEST:
        return []
    return [HubRepo(REPOSITORY, "dataset") if name in OFFICIAL else Path(name)]


def load_prompts(name: str, prepared: Path, limit: int | None) -> list[Prompt]:
    """Prompts with their reference answers where the set has them.

    `alpaca_eval_1` brings text-davinci-003's answers along, `alpaca_eval_2` gpt4_turbo's. Raises
    UserError where the set cannot be had.
    """
    if name == TEST:
        return test_prompts(prepared, "alpaca_eval", limit)
    rows, seen, prompts = _rows(name), Counter[str](), []
    for place, row in enumerate(rows[:limit]):
        text = str(row["instruction"])
        seen[text] += 1
        prompts.append(
            Prompt(
                id=f"{digest(text)}-{seen[text]}",
                benchmark="alpaca_eval",
                messages=[{"role": "user", "content": text}],
                reference=row.get("output"),
                meta={"place": place, "generator": row.get("generator"), "dataset": row.get("dataset")},
            )
        )
    return prompts


class _PromptRow(PublishedRow):
    instruction: str
    output: str | None = None
    generator: str | None = None
    dataset: str | None = None


def _rows(name: str) -> list[dict[str, Any]]:
    path = Path(name)
    if name in OFFICIAL:
        path = _fetched(name)
    elif not path.is_file():
        raise UserError(
            f'prompt set "{name}" is neither known nor a file',
            where=WHERE,
            remedy=f"give {TEST}, {', '.join(OFFICIAL)}, or a .json or .jsonl file with `instruction` rows",
        )
    rows, where = read_file(path)
    if not rows:
        raise UserError("holds no prompts", where=str(path), remedy="give rows with `instruction`")
    checked_rows(_PromptRow, rows, where)
    return rows


def fetch_set(name: str) -> None:
    """Have a set's files in the hub's cache, with the file that its length-controlled rate reads."""
    for file in (OFFICIAL[name], DIFFICULTIES):
        _from_hub(file)


def _fetched(name: str) -> Path:
    """The set's file in the hub's cache, fetched where it is not there."""
    return _from_hub(OFFICIAL[name])


def _from_hub(file: str) -> Path:
    from huggingface_hub import hf_hub_download

    try:
        return Path(hf_hub_download(REPOSITORY, file, repo_type="dataset"))
    except Exception as error:
        raise UserError(
            f"{file} of the data set {REPOSITORY} is not cached and could not be fetched "
            f"({type(error).__name__})",
            where=WHERE,
            remedy="check the network and HF_TOKEN, or give the path of a copy",
        ) from error
