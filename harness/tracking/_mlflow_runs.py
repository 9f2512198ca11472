"""A comparison's nested MLflow runs, found again by their keys: told twice, they stand there once."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from harness.records import ComparisonRecord
from harness.store.run_dir import RunRoot
from harness.texts import as_paragraph
from harness.tracking import COMPARISON, NOW_TAG, DataSet, Ended, Point, Refused, Setting, TrackedRun
from harness.tracking._mlflow_files import copy_records, first_page
from harness.tracking._system import SystemMetrics

BATCH = 1000
MOST_RUNS = 10_000
VALUE_LIMIT = 500
RUN_TAG, KEY_TAG, STAMP_TAG = "harness.run_id", "harness.key", "harness.stamp"
WHY_TAG, NOTE_TAG = "harness.why", "mlflow.note.content"
STATUS = {"finished": "FINISHED", "failed": "FAILED", "killed": "KILLED"}
_FOREIGN = re.compile(r"[^\w\-. :/]")
"""What MLflow takes in no name, such as the @ of scores that were added later."""


class MlflowRuns:
    """A tracker that writes through an `MlflowClient` into one experiment."""

    def __init__(self, client: Any, experiment: str) -> None:
        self._client, self._experiment = client, experiment
        self._system = SystemMetrics()
        self._comparison: str | None = None
        self._known: dict[str, Any] = {}
        self._open: dict[str, str] = {}
        self._made: set[str] = set()
        self._whole: set[str] = set()
        self._stamp: str | None = None
        self._stands: dict[tuple[str, str], set[tuple[int, str]]] = {}

    def goes_on(self, run: TrackedRun) -> None:
        """Open the run that stands there, with what it holds; make it where it does not."""
        if run.comparison != self._comparison:
            self._turn_to(run.comparison)
        self._open_again(run, self._known.get(run.key))

    def starts(self, run: TrackedRun) -> None:
        """Find the run or make it; a stage that is trained again has a new one in the old one's place."""
        if run.comparison != self._comparison:
            self._turn_to(run.comparison)
        known = self._known.get(run.key)
        if known is not None and run.stamp and known.data.tags.get(STAMP_TAG) == run.stamp:
            self._whole.add(run.key)
        elif known is not None and run.kind == "stage":
            self._client.delete_run(known.info.run_id)
            self._stands = {of: held for of, held in self._stands.items() if of[0] != run.key}
            known = None
        self._open_again(run, known)

    def _open_again(self, run: TrackedRun, known: Any | None) -> None:
        if known is None:
            known = self._known[run.key] = self._create(run)
            self._made.add(run.key)
        elif run.key not in self._whole:
            self._client.update_run(known.info.run_id, status="RUNNING")
        self._open[run.key] = str(known.info.run_id)
        if run.key not in self._whole:
            self._describe(run, known)

    def logs(self, key: str, points: Sequence[Point]) -> None:
        """Values in batches of one request each, with what the machine does beside them."""
        from mlflow.entities import Metric

        run = self._run(key)
        if key in self._whole:
            return
        rows = [
            Metric(name, value, point.at_ms, point.step)
            for point in [*points, *self._system.beside(points)]
            for name, value in ((_FOREIGN.sub(":", name), value) for name, value in point.values.items())
            if (point.step, repr(float(value))) not in self._standing(key, name)
        ]
        for start in range(0, len(rows), BATCH):
            self._client.log_batch(run, metrics=rows[start : start + BATCH])

    def _standing(self, key: str, name: str) -> set[tuple[int, str]]:
        """Steps and values of a metric of a run that was found, as it was then."""
        known = self._known.get(key)
        if known is None or name not in known.data.metrics:
            return set()
        if (key, name) not in self._stands:
            history = self._client.get_metric_history(known.info.run_id, name)
            self._stands[key, name] = {(one.step, repr(one.value)) for one in history}
        return self._stands[key, name]

    def _run(self, key: str) -> str:
        if key not in self._open:
            raise Refused(f"the run {key or COMPARISON!r} was never begun")
        return self._open[key]

    def tags(self, key: str, tags: Mapping[str, str]) -> None:
        """Tags in one request."""
        from mlflow.entities import RunTag

        if key not in self._whole and tags:
            rows = [RunTag(_FOREIGN.sub(":", name), text) for name, text in tags.items()]
            self._client.log_batch(self._run(key), tags=rows)

    def ends(self, key: str, ended: Ended) -> None:
        """The status, and the reason where there is one, as a tag and as the run's description."""
        if key == COMPARISON:
            self._does_nothing_now()
        if key in self._whole:
            return
        why = (
            {WHY_TAG: ended.reason[:VALUE_LIMIT], NOTE_TAG: as_paragraph(ended.reason)}
            if ended.reason
            else {}
        )
        self.tags(key, {**ended.tags, **why})
        self._client.set_terminated(self._run(key), STATUS[ended.status], end_time=ended.at_ms)
        # A stamp is the last to be written, the comparison's after its files: what bears one is whole.
        if key == COMPARISON:
            self._stamp = ended.stamp
        elif ended.stamp:
            self.tags(key, {STAMP_TAG: ended.stamp})

    def _does_nothing_now(self) -> None:
        run = self._run(COMPARISON)
        if NOW_TAG in self._client.get_run(run).data.tags:
            self._client.delete_tag(run, NOW_TAG)

    def publishes(self, record: ComparisonRecord, root: RunRoot, report_folder: Path | None) -> None:
        """The records and what a report reads beside them, the report, and its first page as description."""
        run = self._run(COMPARISON)
        if COMPARISON not in self._whole:
            with tempfile.TemporaryDirectory() as temporary:
                copy = Path(temporary) / "run"
                copy_records(record, root, copy)
                self._client.log_artifacts(run, str(copy), "run")
        if report_folder is not None:
            self._client.log_artifacts(run, str(report_folder), "report")
            self._client.set_tag(run, NOTE_TAG, first_page(report_folder))
        if self._stamp:
            self._client.set_tag(run, STAMP_TAG, self._stamp)

    def closes(self) -> None:
        """Nothing is kept back."""

    def _turn_to(self, comparison: str) -> None:
        """Look up what stands there of this comparison; let go of one that went on under another id."""
        if self._comparison is not None and COMPARISON in self._open:
            self._let_go()
        tagged = f"tags.`{RUN_TAG}` = '{comparison}'"
        found = self._client.search_runs([self._experiment], tagged, max_results=MOST_RUNS)
        self._known, self._open, self._stands = {}, {}, {}
        self._made, self._whole, self._stamp = set(), set(), None
        for run in found:
            key = run.data.tags.get(KEY_TAG)
            if key is None or _key(key) in self._known:
                # Written by a version that knew no keys, or begun twice by a request that was sent twice: it
                # would stand beside what is written now.
                self._client.delete_run(run.info.run_id)
            else:
                self._known[_key(key)] = run
        self._comparison = comparison

    def _let_go(self) -> None:
        run, before = self._open[COMPARISON], self._known[COMPARISON]
        if COMPARISON in self._made:
            self._client.delete_run(run)
        else:
            status = before.info.status
            # Found while this very command had it open, before a failure.
            status = "KILLED" if status == "RUNNING" else status
            self._client.set_terminated(run, status, end_time=before.info.end_time)

    def _create(self, run: TrackedRun) -> Any:
        tags = {"mlflow.runName": run.name, RUN_TAG: run.comparison, KEY_TAG: _tag(run.key)}
        tags["harness.kind"] = run.kind
        if run.parent is not None:
            tags["mlflow.parentRunId"] = self._run(run.parent)
        return self._client.create_run(self._experiment, start_time=run.began_ms, tags=tags)

    def _describe(self, run: TrackedRun, known: Any) -> None:
        """Tags, settings and data, as far as they do not stand there yet."""
        for name in (WHY_TAG, STAMP_TAG):
            if name in known.data.tags:
                self._client.delete_tag(known.info.run_id, name)
        self.tags(run.key, run.tags)
        stands = known.data.params
        self._params(run.key, {k: v for k, v in run.settings.items() if _FOREIGN.sub(":", k) not in stands})
        if run.data is not None and not (known.inputs and known.inputs.dataset_inputs):
            self._client.log_inputs(known.info.run_id, datasets=[_input(run.data)])

    def _params(self, key: str, settings: Mapping[str, Setting]) -> None:
        from mlflow.entities import Param

        rows = [Param(_FOREIGN.sub(":", name), str(v)[:VALUE_LIMIT]) for name, v in settings.items()]
        if rows:
            self._client.log_batch(self._run(key), params=rows)


def _input(data: DataSet) -> Any:
    from mlflow.entities import Dataset, DatasetInput, InputTag

    made = Dataset(
        name=data.name[:VALUE_LIMIT],
        digest=data.digest,
        source_type="preference pairs",
        source=data.name,
        profile=f'{{"train_pairs": {data.train_pairs}, "test_pairs": {data.test_pairs}}}',
    )
    return DatasetInput(made, [InputTag("mlflow.data.context", "training")])


def _tag(key: str) -> str:
    """A tag cannot be empty on every store."""
    return key or "comparison"


def _key(tag: str) -> str:
    return COMPARISON if tag == _tag(COMPARISON) else tag
