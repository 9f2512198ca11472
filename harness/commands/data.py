"""`harness data`: check a data set and print its statistics, without a comparison."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from rich.table import Table

from harness.data.check import check_raw
from harness.data.load import load_pairs
from harness.data.prepare import PrepareConfig, prepare
from harness.data.statistics import describe_text
from harness.errors import UserError
from harness.pipeline.data_spec import DataSpec
from harness.pipeline.overrides import parse_setting
from harness.pipeline.validate import validate
from harness.running.fitting import print_table
from harness.terminal import PlainConsole

NEEDS_MODEL = "lengths in tokens, and what is truncated or dropped for them, need --model"
SPLITS = ("train", "validation", "test")
COUNTS = {
    "pairs_available": "pairs in the source",
    "pairs_read": "pairs read",
    "pairs_kept": "pairs kept",
    "truncated": "answers truncated",
    "distinct_prompts": "distinct prompts",
    "duplicate_pairs": "duplicate pairs",
    "chosen_equals_rejected": "chosen = rejected",
    "empty_answers": "empty answers",
    "diverging_rows": "rows without a shared prompt",
    "repaired_text": "texts with repaired characters",
}
SHARES = {"unknown_token_share": "unknown tokens", "chosen_longer_share": "chosen longer"}
TOKENS = {f"{side}_tokens": f"tokens of {side}" for side in ("prompt", "chosen", "rejected")}


def run(
    source: str, *, model: str | None, sets: tuple[str, ...], format_name: Literal["table", "json"] = "table"
) -> int:
    """Print what was read and, with a model's tokenizer, what is kept, dropped and truncated."""
    if not source.strip():
        raise UserError("no data set is named", remedy="give a file, a folder, a hub name, or embedded")
    settings = {}
    for text in sets:
        key, value = parse_setting(text)
        settings[key[-1]] = value
    spec = validate(
        DataSpec, {"source": source, **settings}, prefix=("data",), where=lambda key: f"--set {'.'.join(key)}"
    )
    found = _in_words(spec) if model is None else _in_tokens(spec, model)
    if format_name == "json":
        print(json.dumps(found, indent=1))
        return 0
    console = PlainConsole()
    print_table(statistics_table(source, found), console)
    for line in _notes(found):
        console.print(line, highlight=False, markup=False)
    return 0


def _in_words(spec: DataSpec) -> dict[str, Any]:
    """Without a model: no vocabulary judges the text."""
    raw = load_pairs(spec)
    check_raw(raw.train, spec.source, "train")
    return {**describe_text(raw, spec.source).model_dump(), "tokens": NEEDS_MODEL}


def _in_tokens(spec: DataSpec, model: str) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        config = PrepareConfig(model=model, data=spec)
        facts = prepare(config, Path(folder), lambda done, total, metrics: None)
    shown = facts.model_dump(include={"chat_template_source", "stop_token_ids", "max_length"})
    return {**shown, **facts.statistics.model_dump()}


def statistics_table(source: str, found: Mapping[str, Any]) -> Table:
    """A row a figure and a column a split; lengths are medians with their 5th and 95th percentiles."""
    splits = [name for name in SPLITS if found.get(name) is not None]
    table = Table(title=source, title_justify="left", box=None)
    table.add_column("")
    for split in splits:
        table.add_column(split, justify="right")
    for title, cells in _rows([found[split] for split in splits]):
        table.add_row(title, *cells)
    return table


def _rows(splits: Sequence[Mapping[str, Any]]) -> list[tuple[str, list[str]]]:
    """Title and one cell a split; what no split has is left out."""
    rows = [(title, [_count(s.get(name)) for s in splits]) for name, title in COUNTS.items()]
    reasons = dict.fromkeys(reason for split in splits for reason in split.get("dropped") or ())
    rows += [
        (f"dropped: {why}", [_count((s.get("dropped") or {}).get(why, 0)) for s in splits]) for why in reasons
    ]
    rows += [(title, [_share(s.get(name)) for s in splits]) for name, title in SHARES.items()]
    rows += [(title, [_lengths(s.get(name)) for s in splits]) for name, title in TOKENS.items()]
    for unit in ("words", "characters"):
        for side in ("prompt", "chosen", "rejected"):
            rows.append((f"{unit} of {side}", [_lengths((s.get(unit) or {}).get(side)) for s in splits]))
    return [(title, cells) for title, cells in rows if any(cells)]


def _count(value: int | None) -> str:
    return "" if value is None else f"{value:,}"


def _share(value: float | None) -> str:
    return "" if value is None else f"{value:.1%}"


def _lengths(quantiles: Mapping[str, float] | None) -> str:
    if quantiles is None:
        return ""
    return f"{quantiles['median']:,.0f} ({quantiles['p5']:,.0f} to {quantiles['p95']:,.0f})"


def _notes(found: Mapping[str, Any]) -> list[str]:
    """Where the splits came from, what they share, and rows that were left out."""
    notes = [f"Lengths: median (5th to 95th percentile). Test: {found['test_origin']}."]
    for name, words in (
        ("test_pairs_whose_prompt_is_in_train", "test pairs have a prompt that stands in training"),
        ("test_pairs_dropped_for_a_prompt_in_train", "test pairs were dropped for a prompt in training"),
    ):
        notes += [f"{found[name]:,} {words}."] if found.get(name) else []
    for split in SPLITS:
        notes += [
            f"Left out of {split}: {row}" for row in (found.get(split) or {}).get("first_diverging", ())
        ]
    if "tokens" in found:
        notes.append(f"{found['tokens'][0].upper()}{found['tokens'][1:]}.")
    return notes
