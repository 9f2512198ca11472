"""A comparison's nested MLflow runs: parent, cells and stages, with metrics in batches."""

from __future__ import annotations

import hashlib
import re
import tempfile
from collections import Counter
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from typing import Any

from harness.records import ComparisonRecord, PlannedCell, PrepareFacts, ReplayFacts, StageResult
from harness.store.run_dir import RunRoot, scores_by_cell

BATCH = 1000
RUN_TAG, STAGES_TAG = "harness.run_id", "harness.stages"
VALUE_LIMIT = 500
_FOREIGN = re.compile(r"[^\w\-. :/]")
"""What MLflow takes in no metric's name, such as the @ of scores that were added later."""


class Writer:
    """Writes one comparison through a tracking client."""

    def __init__(self, client: Any, experiment: str, record: ComparisonRecord, root: RunRoot) -> None:
        self.client, self.experiment, self.record, self.root = client, experiment, record, root
        self.scores = scores_by_cell(record)
        self.series = root.read_series(record)

    def write(self, report_folder: Path | None) -> str:
        """All runs of the comparison; returns the parent's id."""
        record = self.record
        spec = record.plan.spec
        parent = self._run(
            record.id,
            None,
            list(record.results.values()),
            {
                "harness.kind": "comparison",
                "mlflow.note.content": self._note(report_folder),
                STAGES_TAG: stages_of(record),
                "seeds": ", ".join(map(str, spec["seeds"])),
                "model": spec.get("model", "replayed"),
            },
        )
        prepared = record.results[record.plan.prepare].facts
        assert isinstance(prepared, PrepareFacts | ReplayFacts)
        self._params(
            parent,
            {
                "model": spec.get("model", "replayed"),
                "data.source": prepared.source,
                "arms": ", ".join(a["name"] for a in spec["arms"]),
            },
        )
        if not spec.get("replayed"):
            self._data_set(parent)
        for cell in record.plan.cells:
            self._cell(cell, parent)
        self._log(parent, self._arm_means())
        if record.plan.base_evaluate:
            self._base(record.plan.base_evaluate, parent)
        self._artifacts(parent, report_folder)
        self._end(parent, list(record.results.values()))
        return parent

    def _run(self, name: str, parent: str | None, stages: list[StageResult], tags: dict[str, str]) -> str:
        """A run that began when the first of `stages` did."""
        run_tags = {"mlflow.runName": name, RUN_TAG: self.record.id, **tags}
        if parent:
            run_tags["mlflow.parentRunId"] = parent
        began = min(_milliseconds(stage.started_at) for stage in stages)
        created = self.client.create_run(
            self.experiment, start_time=began, tags={k: str(v) for k, v in run_tags.items()}
        )
        return str(created.info.run_id)

    def _end(self, run: str, stages: list[StageResult]) -> None:
        """The run ended when the last of `stages` did."""
        ended = max(_milliseconds(stage.finished_at) for stage in stages)
        self.client.set_terminated(run, "FINISHED", end_time=ended)

    def _cell(self, cell: PlannedCell, parent: str) -> None:
        key = f"{cell.arm}@{cell.seed}" + (f"#{cell.repeat}" if cell.repeat else "")
        stages = [self.record.results[d] for d in cell.stages]
        around = stages or [self.record.results[self.record.plan.prepare]]
        tags = {"harness.kind": "cell", "arm": cell.arm, "seed": str(cell.seed)}
        run = self._run(key, parent, around, tags)
        self._log(run, self._cell_metrics(cell))
        self._params(run, {"arm": cell.arm, "seed": cell.seed, "repeat": cell.repeat})
        for stage in stages:
            self._stage(stage, run, cell)
        self._end(run, around)

    def _cell_metrics(self, cell: PlannedCell) -> list[tuple[str, float, int]]:
        costs = _cell_costs([self.record.results[d] for d in cell.stages])
        scores = self._score_metrics(f"{cell.arm}@{cell.seed}") if not cell.repeat else []
        return [(f"cost.{k}", v, 0) for k, v in costs.items()] + scores

    def _arm_means(self) -> list[tuple[str, float, int]]:
        """`<arm>.<metric>`: means over seeds of what every cell of the arm has; bytes the maximum."""
        values_by_metric: dict[str, list[float]] = {}
        scored = Counter(cell.arm for cell in self.record.plan.cells if not cell.repeat)
        for cell in self.record.plan.cells:
            for name, value, _ in self._cell_metrics(cell):
                values_by_metric.setdefault(f"{cell.arm}.{name}", []).append(value)
        return [
            (name, max(values) if name.endswith("_bytes") else sum(values) / len(values), 0)
            for name, values in values_by_metric.items()
            if len(values) >= scored[name.partition(".")[0]]
        ]

    def _base(self, digest: str, parent: str) -> None:
        stages = [self.record.results[digest]]
        tags = {"harness.kind": "cell", "arm": "base", "stage": digest}
        run = self._run("base", parent, stages, tags)
        self._log(run, self._score_metrics("base"))
        self._end(run, stages)

    def _stage(self, stage: StageResult, parent: str, cell: PlannedCell) -> None:
        use = self.record.uses[stage.digest]
        name = stage.name.split("/")[-1].split("@")[0]
        environment = stage.environment
        tags = {
            "harness.kind": "stage",
            "arm": cell.arm,
            "seed": str(cell.seed),
            "stage": name,
            "digest": stage.digest,
            "git_commit": environment.git_commit or "none",
            "gpu_uuid": environment.gpu_uuid or "none",
            "device": environment.device_name,
        }
        owner = stage.name.split("/")[0]
        if use.reused_from or owner != cell.arm:
            tags["reused_from"] = use.reused_from or stage.name
        absent = {f"missing.{m.quantity}": m.reason or "" for m in stage.ledger if m.value is None}
        run = self._run(f"{cell.arm}/{name}@{cell.seed}", parent, [stage], {**tags, **absent})
        config = self.record.plan.stages[stage.digest].config["config"]
        self._params(run, {k: v for k, v in config.items() if not isinstance(v, dict)})
        metrics = [(m.quantity, float(m.value), 0) for m in stage.ledger if m.value is not None]
        for row in self.series.get(stage.digest, []):
            metrics += [(f"train.{k}", v, row["step"]) for k, v in row["metrics"].items()]
        self._log(run, metrics)
        self._end(run, [stage])

    def _score_metrics(self, key: str) -> list[tuple[str, float, int]]:
        return [
            (f"{s.benchmark}.{s.metric}", s.estimate, 0)
            for cell, _, s in self.scores
            if cell == key and s.estimate is not None
        ]

    def _log(self, run: str, metrics: Iterable[tuple[str, float, int]]) -> None:
        """Metrics in batches, one request each, with the record's own time."""
        from mlflow.entities import Metric

        rows = [Metric(_FOREIGN.sub(":", key), value, 0, step) for key, value, step in metrics]
        for start in range(0, len(rows), BATCH):
            self.client.log_batch(run, metrics=rows[start : start + BATCH])

    def _params(self, run: str, params: dict[str, Any]) -> None:
        from mlflow.entities import Param

        rows = [Param(k, str(v)[:VALUE_LIMIT]) for k, v in params.items() if v is not None]
        self.client.log_batch(run, params=rows)

    def _data_set(self, run: str) -> None:
        from mlflow.entities import Dataset, DatasetInput, InputTag

        facts = self.record.results[self.record.plan.prepare].facts_as(PrepareFacts)
        data = Dataset(
            name=facts.source[:VALUE_LIMIT],
            digest=facts.train_ids_digest,
            source_type="preference pairs",
            source=facts.source,
            profile=f'{{"train_pairs": {facts.train_pairs}, "test_pairs": {facts.test_pairs}}}',
        )
        self.client.log_inputs(
            run, datasets=[DatasetInput(data, [InputTag("mlflow.data.context", "training")])]
        )

    def _artifacts(self, run: str, report_folder: Path | None) -> None:
        """The records and what a report reads beside them, laid out as a run root."""
        with tempfile.TemporaryDirectory() as temporary:
            copy = Path(temporary) / "run"
            _copy_records(self.record, self.root, copy)
            self.client.log_artifacts(run, str(copy), "run")
        if report_folder is not None:
            self.client.log_artifacts(run, str(report_folder), "report")

    def _note(self, report_folder: Path | None) -> str:
        """The report's first page, and how to read the runs."""
        page = ""
        if report_folder is not None:
            text = (report_folder / "report.md").read_text(encoding="utf-8")
            page = "\n## ".join(text.split("\n## ")[:2]) + "\n\n"
        return (
            f"{page}Each child is a cell (one arm at one seed); its children are the training stages. "
            "`cost.*` are sums over the cell's stages (memory: the maximum), in seconds, bytes, "
            "FLOPs and joules. The report is under Artifacts: `report/report.html`."
        )


def stages_of(record: ComparisonRecord) -> str:
    """16 hex digits of the stages that a record holds."""
    return hashlib.sha256("\n".join(sorted(record.results)).encode()).hexdigest()[:16]


def _milliseconds(moment: str) -> int:
    """Of an ISO time, since 1970."""
    return int(datetime.fromisoformat(moment).timestamp() * 1000)


def _cell_costs(stages: list[StageResult]) -> dict[str, float]:
    """Sums over stages, memory the maximum; what one stage lacks, the cell lacks."""
    costs: dict[str, float] = {}
    for quantity in ("wall_seconds", "peak_memory_bytes", "flops", "energy_joules"):
        values = [m.value for s in stages if (m := s.measured(quantity)) and m.value is not None]
        if values and len(values) == len(stages):
            costs[quantity] = float(max(values) if quantity == "peak_memory_bytes" else sum(values))
    return costs


def _copy_records(record: ComparisonRecord, root: RunRoot, target: Path) -> None:
    target.mkdir(parents=True)
    (target / "record.json").write_text(record.model_dump_json(indent=1), encoding="utf-8")
    files = {(d, r.outputs["steps"]) for d, r in record.results.items() if "steps" in r.outputs}
    files |= {(d, s.items_file) for _, d, s in scores_by_cell(record) if s.items_file}
    files |= {(d, "result.json") for d in record.results} | {(d, "request.json") for d in record.results}
    for digest, file in sorted(files):
        source = root.folder_of(record.results[digest]) / file
        copy = target / "stages" / digest / file
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_bytes(source.read_bytes())
