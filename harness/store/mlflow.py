"""MLflow as a projection of the run folder: comparison -> cells -> stages as nested runs.

Written after the work, off every clock, and read back through the records it holds as artifacts,
never through its metrics.
"""

from __future__ import annotations

import logging
import os
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from harness.errors import UserError
from harness.records import ComparisonRecord, PlannedCell, StageResult
from harness.store.run_dir import RunRoot, read_record, scores_by_cell

BATCH = 1000
RUN_TAG = "harness.run_id"
VALUE_LIMIT = 500


def project(
    record: ComparisonRecord, root: RunRoot, *, tracking_uri: str | None, report_folder: Path | None
) -> str:
    """Write `record` to MLflow once; returns the parent's MLflow run id.

    A second call for the same run id finds the first one's runs and only renews the artifacts.
    """
    client = _client(root, tracking_uri)
    experiment = _experiment(client, record.name, root, tracking_uri)
    found = client.search_runs(
        [experiment], f"tags.`{RUN_TAG}` = '{record.id}' and tags.`harness.kind` = 'comparison'"
    )
    if found:
        parent = str(found[0].info.run_id)
        if report_folder is not None:
            client.log_artifacts(parent, str(report_folder), "report")
        return parent
    writer = _Writer(client, experiment, record, root)
    return writer.write(report_folder)


def default_uri(root: RunRoot) -> str:
    """The database beside the runs."""
    return f"sqlite:///{(root.path / 'mlflow.db').resolve()}"


def read_from(tracking_uri: str, run_id: str, into: Path) -> tuple[ComparisonRecord, RunRoot]:
    """A record and the files it needs, from a tracking server alone, laid out as a run root."""
    client = _client(RunRoot(into), tracking_uri)
    try:
        client.download_artifacts(run_id, "run", str(into))
    except Exception as error:
        raise UserError(
            f"MLflow has no harness run {run_id} ({error})",
            where=tracking_uri,
            remedy="give the run id of a comparison's parent run",
        ) from error
    record = read_record(into / "run")
    return record, RunRoot(into / "run")


def _client(root: RunRoot, tracking_uri: str | None) -> Any:
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    for name in ("mlflow", "alembic", "mlflow.store.db.utils"):
        logging.getLogger(name).setLevel(logging.ERROR)
    from mlflow import MlflowClient

    return MlflowClient(tracking_uri=tracking_uri or default_uri(root))


def _experiment(client: Any, name: str, root: RunRoot, tracking_uri: str | None) -> str:
    known = client.get_experiment_by_name(name)
    if known is not None:
        return str(known.experiment_id)
    location = None if tracking_uri else (root.path / "mlartifacts").resolve().as_uri()
    return str(client.create_experiment(name, artifact_location=location))


class _Writer:
    def __init__(self, client: Any, experiment: str, record: ComparisonRecord, root: RunRoot) -> None:
        self.client, self.experiment, self.record, self.root = client, experiment, record, root
        self.scores = scores_by_cell(record)
        self.series = root.read_series(record)

    def write(self, report_folder: Path | None) -> str:
        record = self.record
        spec = record.plan.spec
        parent = self._run(
            record.id,
            None,
            {
                "harness.kind": "comparison",
                "mlflow.note.content": self._note(),
                "seeds": ", ".join(map(str, spec["seeds"])),
                "model": spec["model"],
            },
        )
        self._params(
            parent,
            {
                "model": spec["model"],
                "data.source": spec["data"]["source"],
                "arms": ", ".join(a["name"] for a in spec["arms"]),
            },
        )
        self._data_set(parent)
        for cell in record.plan.cells:
            self._cell(cell, parent)
        if record.plan.base_evaluate:
            self._base(record.plan.base_evaluate, parent)
        self._artifacts(parent, report_folder)
        self.client.set_terminated(parent, "FINISHED")
        return parent

    def _run(self, name: str, parent: str | None, tags: dict[str, str]) -> str:
        own = {"mlflow.runName": name, RUN_TAG: self.record.id, **tags}
        if parent:
            own["mlflow.parentRunId"] = parent
        created = self.client.create_run(self.experiment, tags={k: str(v) for k, v in own.items()})
        return str(created.info.run_id)

    def _cell(self, cell: PlannedCell, parent: str) -> None:
        key = f"{cell.arm}@{cell.seed}"
        run = self._run(key, parent, {"harness.kind": "cell", "arm": cell.arm, "seed": str(cell.seed)})
        stages = [self.record.results[d] for d in cell.stages]
        costs = _cell_costs(stages)
        self._log(run, [(f"cost.{k}", v, 0) for k, v in costs.items()] + self._score_metrics(key))
        self._params(run, {"arm": cell.arm, "seed": cell.seed})
        for stage in stages:
            self._stage(stage, run, cell)
        self.client.set_terminated(run, "FINISHED")

    def _base(self, digest: str, parent: str) -> None:
        run = self._run("base", parent, {"harness.kind": "cell", "arm": "base", "stage": digest})
        self._log(run, self._score_metrics("base"))
        self.client.set_terminated(run, "FINISHED")

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
        run = self._run(f"{cell.arm}/{name}@{cell.seed}", parent, {**tags, **absent})
        config = self.record.plan.stages[stage.digest].config["config"]
        self._params(run, {k: v for k, v in config.items() if not isinstance(v, dict)})
        metrics = [(m.quantity, float(m.value), 0) for m in stage.ledger if m.value is not None]
        for row in self.series.get(stage.digest, []):
            metrics += [(f"train.{k}", v, row["step"]) for k, v in row["metrics"].items()]
        self._log(run, metrics)
        self.client.set_terminated(run, "FINISHED")

    def _score_metrics(self, key: str) -> list[tuple[str, float, int]]:
        return [
            (f"{s.benchmark}.{s.metric}", s.estimate, 0)
            for cell, _, s in self.scores
            if cell == key and s.estimate is not None
        ]

    def _log(self, run: str, metrics: Iterable[tuple[str, float, int]]) -> None:
        """Metrics in batches, one request each, with the record's own time."""
        from mlflow.entities import Metric

        rows = [Metric(key, value, 0, step) for key, value, step in metrics]
        for start in range(0, len(rows), BATCH):
            self.client.log_batch(run, metrics=rows[start : start + BATCH])

    def _params(self, run: str, params: dict[str, Any]) -> None:
        from mlflow.entities import Param

        rows = [Param(k, str(v)[:VALUE_LIMIT]) for k, v in params.items() if v is not None]
        self.client.log_batch(run, params=rows)

    def _data_set(self, run: str) -> None:
        from mlflow.entities import Dataset, DatasetInput, InputTag

        facts = self.record.results[self.record.plan.prepare].facts
        data = Dataset(
            name=str(facts["source"])[:VALUE_LIMIT],
            digest=facts["train_ids_digest"],
            source_type="preference pairs",
            source=str(facts["source"]),
            profile=f'{{"train_pairs": {facts["train_pairs"]}, "test_pairs": {facts["test_pairs"]}}}',
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

    def _note(self) -> str:
        spec = self.record.plan.spec
        arms = ", ".join(a["name"] for a in spec["arms"])
        return (
            f"**{self.record.name}**: {arms} on `{spec['model']}` with `{spec['data']['source']}`.\n\n"
            "Each child is a cell (one arm at one seed); its children are the training stages. "
            "`cost.*` are sums over the cell's stages (memory: the maximum), in seconds, bytes, "
            "FLOPs and joules. The report is under Artifacts, `report/report.md`."
        )


def _cell_costs(stages: list[StageResult]) -> dict[str, float]:
    """Sums over stages, memory the maximum; what one stage lacks, the cell lacks."""
    costs: dict[str, float] = {}
    for quantity in ("wall_seconds", "peak_memory_bytes", "flops", "energy_joules"):
        values = [m.value for s in stages if (m := s.measured(quantity)) and m.value is not None]
        if len(values) == len(stages):
            costs[quantity] = float(max(values) if quantity == "peak_memory_bytes" else sum(values))
    return costs


def _copy_records(record: ComparisonRecord, root: RunRoot, target: Path) -> None:
    target.mkdir(parents=True)
    (target / "record.json").write_text(record.model_dump_json(indent=1), encoding="utf-8")
    files = {(d, r.outputs["steps"]) for d, r in record.results.items() if "steps" in r.outputs}
    files |= {(d, s.items_file) for _, d, s in scores_by_cell(record) if s.items_file}
    files |= {(d, "result.json") for d in record.results} | {(d, "request.json") for d in record.results}
    for digest, file in sorted(files):
        source = root.stage_folder(digest) / file
        copy = target / "stages" / digest / file
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_bytes(source.read_bytes())
