"""`harness data`: check a data set and print its statistics, without a comparison."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

from harness.data.check import check_raw
from harness.data.load import load_pairs
from harness.data.prepare import PrepareConfig, prepare
from harness.data.statistics import describe_text
from harness.pipeline.overrides import parse_setting
from harness.pipeline.spec import DataSpec
from harness.pipeline.validate import validate

NEEDS_MODEL = "lengths in tokens, and what is truncated or dropped for them, need --model"


def run(source: str, *, model: str | None, sets: tuple[str, ...]) -> int:
    """Print JSON: what was read and, with a model's tokenizer, what is kept, dropped and truncated."""
    settings = {}
    for text in sets:
        key, value = parse_setting(text)
        settings[key[-1]] = value
    spec = validate(
        DataSpec, {"source": source, **settings}, prefix=("data",), where=lambda key: f"--set {'.'.join(key)}"
    )
    if model is None:
        raw = load_pairs(spec)
        check_raw(raw.train, source, "train")
        print(json.dumps({**describe_text(raw, source).model_dump(), "tokens": NEEDS_MODEL}, indent=1))
        return 0
    with tempfile.TemporaryDirectory() as folder:
        config = PrepareConfig(model=model, data=spec)
        facts = prepare(config, Path(folder), lambda done, total, metrics: None)
    shown = facts.model_dump(include={"chat_template_source", "stop_token_ids", "max_length"})
    print(json.dumps({**shown, **facts.statistics.model_dump()}, indent=1))
    return 0
