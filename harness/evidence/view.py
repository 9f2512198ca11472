"""A comparison's record with its per-item values and per-step series, read but not judged."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from harness.pipeline.block_devices import BlockDevices, Key, devices_of_blocks
from harness.pipeline.questions_spec import AggregateSpec, LookSpec, QuestionSpec
from harness.quantities import AGGREGATE, is_win_rate
from harness.records import ComparisonRecord, PlannedCell, PrepareFacts, ReplayFacts, Score, StageResult
from harness.store.run_dir import scores_by_cell
from harness.votes import Vote

ItemTable = dict[str, float]
BASE = "base"
"""The cell, and the name in place of an arm's, of the model that every arm starts from."""


@dataclass(frozen=True)
class ComparisonView:
    """`items[cell]["benchmark.metric"][item id]` and `series[stage digest]`, rows of metrics.

    A cell's key is `arm@seed`, or `base` for the model that every arm starts from.
    `clusters["benchmark.metric"][item id]` names what several items share, such as a question of two turns.
    `unread` has the ids of items that were asked and have no value, by cell and metric as `items`.
    `votes` are what people said of two arms' answers.
    """

    record: ComparisonRecord
    items: dict[str, dict[str, ItemTable]]
    series: dict[str, list[dict[str, Any]]]
    clusters: dict[str, dict[str, str]] = field(default_factory=dict)
    unread: dict[str, dict[str, set[str]]] = field(default_factory=dict)
    votes: tuple[Vote, ...] = ()

    @property
    def arms(self) -> list[str]:
        """Arms in the order of the comparison file."""
        return [arm["name"] for arm in self.record.plan.spec["arms"]]

    @property
    def seeds(self) -> list[int]:
        """Seeds in the order of the comparison file."""
        return list(self.record.plan.spec["seeds"])

    @property
    def baseline(self) -> str:
        """The arm that win rates are against."""
        return str(self.record.plan.spec["baseline"])

    @property
    def cost_reference(self) -> str:
        """The arm whose cost is 100%."""
        return str(self.record.plan.spec["cost_reference"])

    @cached_property
    def questions(self) -> list[QuestionSpec]:
        """What was asked before the run, in the order of the comparison file."""
        asked = self.record.plan.spec.get("questions") or []
        return [QuestionSpec.model_validate(question) for question in asked]

    @cached_property
    def look(self) -> LookSpec | None:
        """Which look of a sequence of looks the run is; None where its seeds were fixed."""
        look = self.record.plan.spec.get("look")
        return None if look is None else LookSpec.model_validate(look)

    @cached_property
    def aggregates(self) -> dict[str, AggregateSpec]:
        """Aggregates of scores by name, as they were written before the run."""
        written = self.record.plan.spec.get("aggregates") or {}
        return {name: AggregateSpec.model_validate(one) for name, one in written.items()}

    @property
    def prepared(self) -> PrepareFacts:
        """What the prepare stage found out; replayed results have none."""
        return self.record.results[self.record.plan.prepare].facts_as(PrepareFacts)

    @property
    def source(self) -> str:
        """Where the pairs, or the replayed results, came from."""
        facts = self.record.results[self.record.plan.prepare].facts
        assert isinstance(facts, PrepareFacts | ReplayFacts)
        return facts.source

    @property
    def replayed(self) -> bool:
        """Whether published results were read instead of anything being trained."""
        return bool(self.record.plan.spec.get("replayed"))

    @property
    def random_weights(self) -> bool:
        """Whether training began from random weights, so that scores mean nothing."""
        return not self.replayed and self.prepared.random_weights

    def cells_of(self, arm: str) -> list[PlannedCell]:
        """The arm's cells that are scored, by seed."""
        return [cell for cell in self.blocks_of(arm) if cell.repeat == 0]

    def blocks_of(self, arm: str) -> list[PlannedCell]:
        """The arm's cells with those repeated for their cost, by seed and repeat."""
        return [cell for cell in self.record.plan.cells if cell.arm == arm]

    def stages_of(self, cell: PlannedCell) -> list[StageResult]:
        """The training stages of a cell, in order."""
        return [self.record.results[digest] for digest in cell.stages]

    @cached_property
    def blocks(self) -> dict[Key, BlockDevices]:
        """Where each block of training ran, by its seed and repeat."""
        return {one.key: one for one in devices_of_blocks(self.record.plan, self.record.results)}

    @cached_property
    def kinds_of_device(self) -> list[str]:
        """The kinds of device of blocks that stayed on one; several make a mixed fleet."""
        return list(dict.fromkeys(one.kind for one in self.blocks.values() if one.kind is not None))

    @cached_property
    def places(self) -> list[str]:
        """Every device that a block was trained on."""
        return list(dict.fromkeys(place for block in self.blocks.values() for place in block.places))

    @property
    def mixed_fleet(self) -> bool:
        """Whether seconds are those of several kinds of device, so that a mean of them says nothing."""
        return len(self.kinds_of_device) > 1

    @cached_property
    def trained_stages(self) -> list[StageResult]:
        """Every training stage of the run, in the order in which they ran."""
        results = self.record.results
        order = self.record.plan.order
        return [results[digest] for digest in order if digest in results and results[digest].kind == "train"]

    def rehearsal_of(self, digest: str) -> StageResult | None:
        """The rehearsal that stood for a training stage, or None in records without one."""
        return self.record.results.get(self._rehearsed.get(digest, ""))

    @cached_property
    def _rehearsed(self) -> dict[str, str]:
        """Digest of a training stage -> that of its rehearsal."""
        return {
            stage.digest: rehearsed
            for rehearsed in reversed(self.record.plan.rehearsals)
            for stage in self.trained_by(rehearsed)
        }

    def trained_by(self, rehearsal: str) -> list[StageResult]:
        """The training stages, over all seeds and repeats, that a rehearsal stood for."""
        plan = self.record.plan
        job = plan.stages[rehearsal].config["job"]
        alike = [d for d, s in plan.stages.items() if s.kind == "train" and _settings(s.config, job) == job]
        return [self.record.results[d] for d in alike if d in self.record.results]

    def metrics(self) -> list[str]:
        """Every `benchmark.metric` that some cell has, in order of appearance."""
        names: dict[str, None] = {}
        for table in self.items.values():
            names.update(dict.fromkeys(table))
        return list(names)

    @cached_property
    def written(self) -> dict[tuple[str, str], tuple[str, Score]]:
        """(cell key, metric) -> digest of the stage that wrote the score, and the score."""
        return {
            (cell, f"{score.benchmark}.{score.metric}"): (digest, score)
            for cell, digest, score in scores_by_cell(self.record)
        }

    def clusters_of(self, metric: str) -> dict[str, str]:
        """What items of a metric share, by item id; those that share nothing are not named."""
        return self.clusters.get(metric, {})

    def higher_is_better(self, metric: str) -> bool | None:
        """Which direction of a metric is good, as its benchmark recorded it; None for neither.

        Aggregates are oriented so that higher is.
        """
        if metric.startswith(AGGREGATE):
            return True
        directions = {s.higher_is_better for (_, m), (_, s) in self.written.items() if m == metric}
        return None if None in directions else False not in directions

    def rival_of(self, metric: str) -> str | None:
        """Whose answers a win rate is against: an arm, `chosen`, or None for other metrics."""
        for (cell, name), (_, score) in self.written.items():
            if name == metric and cell != BASE and "rival" in score.settings:
                return str(score.settings["rival"]).partition("@")[0]
        return None

    def against_itself(self, metric: str) -> float:
        """What a rival scores against its own answers: it wins half, and is as long."""
        return 0.5 if is_win_rate(metric) else 0.0

    def why_unscored(self, arm: str, metric: str) -> str:
        """The reason that a benchmark gave for having no score of the arm."""
        for cell in self.cells_of(arm):
            written = self.written.get((f"{arm}@{cell.seed}", metric))
            if written is not None and written[1].reason is not None:
                return written[1].reason
        return f"{metric} was not scored"

    def score_sources(self, arm: str, metric: str) -> tuple[str, ...]:
        """Digests of the stages that wrote the arm's scores; `base` is the starting model."""
        cells = [BASE] if arm == BASE else [f"{arm}@{cell.seed}" for cell in self.cells_of(arm)]
        digests = (self.digest_of(cell, metric) for cell in cells)
        return tuple(dict.fromkeys(digest for digest in digests if digest))

    def digest_of(self, cell: str, metric: str) -> str | None:
        """The stage that wrote a cell's score, or that scored the cell; None where none did."""
        if (cell, metric) in self.written:
            return self.written[cell, metric][0]
        arm, _, seed = cell.partition("@")
        if arm == BASE:
            return self.record.plan.base_evaluate
        return next((one.evaluate for one in self.cells_of(arm) if str(one.seed) == seed), None)

    def item_means(self, arm: str, metric: str) -> list[float]:
        """The arm's score at each seed that has it: (num_seeds,)."""
        tables = [self.items.get(f"{arm}@{cell.seed}", {}).get(metric) for cell in self.cells_of(arm)]
        return [sum(t.values()) / len(t) for t in tables if t]


def _settings(config: Mapping[str, Any], job: Mapping[str, Any]) -> dict[str, Any]:
    """A training stage's settings without what tells repeats apart."""
    return {key: config.get(key) for key in job}
