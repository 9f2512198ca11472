"""A comparison with its data prepared, and the same pairs as stock's scripts read them. On nobody's clock."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow.parquet
from rich.console import Console

from harness.pipeline.load import find_comparison, load_comparison
from harness.pipeline.overrides import Overrides
from harness.pipeline.plan import plan_comparison
from harness.records import PlannedStage, PrepareFacts
from harness.running.execute import Execution
from harness.running.resolve import is_local, resolve
from harness.running.showing import Showing
from harness.stages.starting import ForkServer
from harness.store.run_dir import RunRoot
from harness.training.order import epoch_order

SIDES = ("chosen", "rejected")


class Prepared:
    """A planned comparison in a run root of its own below `folder`; stages are run by its `execution`."""

    def __init__(self, folder: Path, comparison: str, overrides: Overrides) -> None:
        spec = load_comparison(find_comparison(comparison, model=overrides.model), overrides)
        self.folder, self.spec = folder, spec
        self.plan, self.root = plan_comparison(spec, resolve(spec)), RunRoot(folder / "runs")
        self.root.open_for_writing()
        watchers = Showing(self.root, Console(stderr=True), file=False).watch(self.plan)
        # As `harness compare` starts them; the server ends with this process.
        self.execution = Execution(
            self.plan, self.root, watchers, offline=is_local(spec), starter=ForkServer()
        )
        self.execution.run([self.plan.prepare])
        self.data = self.root.stage_folder(self.plan.prepare)

    @property
    def base(self) -> Path:
        """The starting model's folder."""
        return Path(str(self.execution.results[self.plan.prepare].facts_as(PrepareFacts).model_path))

    def settings(self) -> dict[str, dict[str, Any]]:
        """A training stage's settings by method."""
        trained = [stage for stage in self.plan.stages.values() if stage.kind == "train"]
        return {stage.config["method"]: stage.config["config"] for stage in trained}

    def train_file(self, seed: int) -> Path:
        """The training pairs in the order in which our stages of this seed meet them in one epoch."""
        file, rows = self.folder / f"train-{seed}.jsonl", _rows(self.data / "train.parquet")
        if not file.is_file():
            _write(file, [rows[i] for i in epoch_order(len(rows), seed, 0)])
        return file

    def test_file(self) -> Path:
        """The held-out pairs."""
        file = self.folder / "test.jsonl"
        _write(file, _rows(self.data / "test.parquet"))
        return file

    def start(self, stage: PlannedStage, to: Path) -> Path:
        """A folder below `to` with the weights that a stage starts from and the prepared tokenizer."""
        before = stage.needs.get("model")
        weights = self.root.stage_folder(before) / "model" if before else self.base
        shutil.copytree(weights, to / "model")
        shutil.copytree(self.data / "tokenizer", to / "model", dirs_exist_ok=True)
        return to / "model"


def _rows(parquet: Path) -> list[dict[str, Any]]:
    table = pyarrow.parquet.read_table(parquet, columns=["prompt", *SIDES])
    rows: list[dict[str, Any]] = table.to_pylist()
    return rows


def _write(file: Path, rows: Sequence[dict[str, Any]]) -> None:
    """Prepared pairs as conversations, a line each."""
    with file.open("w", encoding="utf-8") as sink:
        for row in rows:
            answers = {side: [{"role": "assistant", "content": row[side]}] for side in SIDES}
            sink.write(json.dumps({"prompt": json.loads(row["prompt"]), **answers}) + "\n")
