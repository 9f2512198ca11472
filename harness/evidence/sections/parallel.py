"""How several devices shared each stage: what each rank did, took and waited."""

from __future__ import annotations

from harness.evidence.cells import stage_cell
from harness.evidence.findings import Findings
from harness.evidence.view import ComparisonView
from harness.quantities import DEVICE_SECONDS, SUMMED_MEMORY, WAITING_SECONDS, WALL_SECONDS
from harness.records import ParallelFacts, RankFacts, StageResult, TrainFacts
from harness.tables import Cell, Section, Table

HOW = {"ddp": "all weights on each (DDP)", "fsdp2": "a share of the weights on each (FSDP2)"}
NOTES = (
    "Seconds lie between barriers, so that all ranks of a stage have the same: those of the slowest. "
    "Waiting: at barriers and gathers between ranks; waiting within the reduction of gradients cannot be "
    "told from computing. Device-seconds are training time times devices, and what an arm is charged.",
    "A micro-batch without weight lets a rank take part in an epoch's last step that has none for it. Its "
    "FLOPs are part of no other figure.",
)


def section(findings: Findings) -> Section | None:
    """None where every stage had one device."""
    view = findings.view
    if not any(_parallel(stage) for stage in view.trained_stages):
        return None
    return Section("Several devices a stage", (), (devices_table(view), ranks_table(view)))


def devices_table(view: ComparisonView) -> Table:
    """One row a stage on several devices."""
    columns = (
        "stage",
        "devices",
        "how",
        WALL_SECONDS.title,
        DEVICE_SECONDS.title,
        WAITING_SECONDS.title,
        "share of device-seconds",
        SUMMED_MEMORY.title,
        "micro-batches without weight",
        "their FLOPs",
    )
    rows = tuple(
        _stage_row(stage, facts) for stage in view.trained_stages if (facts := _parallel(stage)) is not None
    )
    return Table("devices", "Stages on several devices", columns, rows, NOTES)


def ranks_table(view: ComparisonView) -> Table:
    """One row a rank of a stage on several devices."""
    columns = (
        "stage",
        "rank",
        "device",
        "micro-batches",
        "pairs",
        "tokens",
        "computed tokens",
        "seconds waiting",
        "seconds besides",
        "peak memory",
        "energy",
    )
    rows = tuple(
        _rank_row(stage, rank)
        for stage in view.trained_stages
        if (facts := _parallel(stage)) is not None
        for rank in facts.ranks
    )
    return Table("ranks", "What each rank did and took", columns, rows)


def _parallel(stage: StageResult) -> ParallelFacts | None:
    return stage.facts_as(TrainFacts).parallel


def _stage_row(stage: StageResult, facts: ParallelFacts) -> tuple[Cell, ...]:
    source = (stage.digest,)
    waited, charged = stage.measured(WAITING_SECONDS.name), stage.measured(DEVICE_SECONDS.name)
    share = None
    if waited and charged and waited.value is not None and charged.value:
        share = waited.value / charged.value
    return (
        Cell(stage.name, sources=source),
        Cell(facts.devices, "count", sources=source),
        Cell(HOW.get(facts.how, facts.how)),
        *(stage_cell(stage, quantity) for quantity in (WALL_SECONDS, DEVICE_SECONDS, WAITING_SECONDS)),
        Cell(share, "percent", digits=1, reason="not recorded", sources=source),
        stage_cell(stage, SUMMED_MEMORY),
        Cell(facts.void_micro_batches, "count", sources=source),
        Cell(facts.void_flops, "flops", sources=source),
    )


def _rank_row(stage: StageResult, rank: RankFacts) -> tuple[Cell, ...]:
    source, counts = (stage.digest,), (rank.micro_batches, rank.pairs, rank.tokens_real, rank.tokens_padded)
    computing = None
    if rank.seconds is not None and rank.waited_seconds is not None:
        computing = rank.seconds - rank.waited_seconds
    return (
        Cell(stage.name, sources=source),
        Cell(rank.rank, "count"),
        Cell(rank.device, reason="nobody names it"),
        *(Cell(count, "count", sources=source) for count in counts),
        Cell(rank.waited_seconds, "seconds", reason="not measured", sources=source),
        Cell(computing, "seconds", reason="not measured", sources=source),
        Cell(rank.peak_memory_bytes, "bytes", reason="not measured", sources=source),
        Cell(rank.joules, "joules", reason="no energy counter", sources=source),
    )
