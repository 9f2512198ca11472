"""Where blocks ran, and what arms cost on each kind of device: shown where there was more than one device."""

from __future__ import annotations

import math
from collections.abc import Iterator

from harness.evidence.cells import estimate_cell
from harness.evidence.costs import arm_cost, kind_ratios
from harness.evidence.findings import Findings
from harness.evidence.statistics.kinds import OverKinds
from harness.evidence.view import ComparisonView
from harness.pipeline.block_devices import BlockDevices
from harness.quantities import COSTS, Quantity
from harness.records import StageResult
from harness.tables import Cell, Section, Table
from harness.units import rounded

TIMED = tuple(quantity for quantity in COSTS if quantity.timed)


def section(findings: Findings) -> Section | None:
    """None where every block ran on one and the same device."""
    view = findings.view
    if len(view.places) < 2:
        return None
    tables = [blocks_table(view)]
    if view.mixed_fleet:
        tables = [kinds_table(view), over_kinds_table(view), *tables]
    return Section("Devices", tuple(sentences(view)), tuple(tables))


def sentences(view: ComparisonView) -> Iterator[str]:
    """What several devices mean for the figures, for this section and for the limits of a run."""
    split = [block.name for block in view.blocks.values() if not block.whole]
    if split:
        yield (
            f"Not every block stayed on one device ({'; '.join(split)}): what its arms took there is "
            "compared with nothing, and is part of no mean of seconds, joules or bytes. FLOPs and scores "
            "are."
        )
    if view.mixed_fleet:
        yield (
            f"Blocks ran on {len(view.kinds_of_device)} kinds of device. Seconds and joules stand by kind; "
            "their ratios are formed within blocks and combined over kinds by random effects, so that no "
            "arm gains from where it ran. An interval is about kinds of device like these, of which there "
            "are few: it is wider than one about a single kind."
        )


def in_methods(view: ComparisonView) -> str:
    """The methods paragraph's sentence, after a space; empty for one kind of device."""
    if not view.mixed_fleet:
        return ""
    return (
        f" All arms of a seed ran on one device; ratios of time are formed within seeds and combined over "
        f"{len(view.kinds_of_device)} kinds of device by random effects."
    )


def kinds_table(view: ComparisonView) -> Table:
    """A row a kind of device and arm: its blocks, what it took, and its share of the cost reference's."""
    shown = [quantity for quantity in TIMED if _is_known(view, quantity)]
    rows = tuple(
        (
            Cell(kind),
            Cell(arm),
            Cell(sum(block.kind == kind for block in view.blocks.values()), "count"),
            *(_figure(view, arm, quantity, kind) for quantity in shown),
            *(_ratio(view, arm, quantity, kind) for quantity in shown),
        )
        for kind in view.kinds_of_device
        for arm in view.arms
    )
    reference = view.cost_reference
    columns = (
        "kind of device",
        "arm",
        "blocks",
        *(quantity.title for quantity in shown),
        *(f"{quantity.title} of {reference}" for quantity in shown),
    )
    note = (
        "Means over the seeds that ran on the kind. Shares: geometric mean of the ratios within blocks, with "
        "the 95% interval about repeated runs on this kind."
    )
    return Table("kinds", "What each arm took on each kind of device", columns, rows, (note,))


def _is_known(view: ComparisonView, quantity: Quantity) -> bool:
    return any(arm_cost(view, arm, quantity).by_block for arm in view.arms)


def _figure(view: ComparisonView, arm: str, quantity: Quantity, kind: str) -> Cell:
    cost = arm_cost(view, arm, quantity, kind)
    return Cell(cost.value, quantity.kind, reason=cost.reason, sources=cost.sources)


def _ratio(view: ComparisonView, arm: str, quantity: Quantity, kind: str) -> Cell:
    found = _over(view, arm, quantity)
    if found is None or kind not in found.by_kind:
        return Cell(None, "percent", reason=f"no ratio to {view.cost_reference}")
    return estimate_cell(found.by_kind[kind], arm_cost(view, arm, quantity, kind).sources, "percent", 1)


def _over(view: ComparisonView, arm: str, quantity: Quantity) -> OverKinds | None:
    if view.cost_reference not in view.arms:
        return None
    return kind_ratios(view, arm_cost(view, arm, quantity), arm_cost(view, view.cost_reference, quantity))


def over_kinds_table(view: ComparisonView) -> Table:
    """A row an arm and timed cost: the random-effects mean over kinds, and how far kinds differ."""
    others = [arm for arm in view.arms if arm != view.cost_reference]
    found = {(arm, quantity): _over(view, arm, quantity) for quantity in TIMED for arm in others}
    rows = tuple(
        (
            Cell(arm),
            Cell(quantity.title),
            Cell(len(one.by_kind), "count"),
            estimate_cell(one.estimate, arm_cost(view, arm, quantity).sources, "percent", 1),
            *_between(one),
        )
        for (arm, quantity), one in found.items()
        if one is not None
    )
    columns = (
        "arm",
        "quantity",
        "kinds",
        f"of {view.cost_reference}",
        "one more kind",
        "kinds differ by a factor of",
        "p of no difference",
    )
    note = (
        "Random-effects mean of the kinds' log ratios (Paule and Mandel, with the guarded Hartung-Knapp "
        "interval, docs/evidence.md), about kinds of device like these. One more kind: 95% prediction "
        "interval of what it would measure. The factor is one standard deviation of true ratios between "
        "kinds, p that of Cochran's Q."
    )
    return Table("over_kinds", "Relative cost over kinds of device", columns, rows, (note,))


def _between(one: OverKinds) -> tuple[Cell, ...]:
    """What one more kind would measure, and how far true ratios of kinds differ."""
    combined, reason = one.combined, one.estimate.reason
    if combined is None:
        return tuple(Cell(None, reason=reason) for _ in range(3))
    ahead = Cell(None, reason="it takes 3 kinds")
    if one.predicted is not None:
        low, high = (rounded(100 * bound, 1) for bound in one.predicted)
        ahead = Cell(f"{low}% to {high}%")
    apart = Cell(math.exp(combined.tau), "number", digits=3)
    return ahead, apart, Cell(combined.q_p, "number", digits=3, reason="no spread to judge it by")


def blocks_table(view: ComparisonView) -> Table:
    """A row a block: which device, on which node, in what state."""
    rows = tuple(
        (
            Cell(block.name),
            Cell("; ".join(block.places) or None, reason="nobody names it"),
            *(_facts(view, block, what) for what in ("node", "driver")),
            *(_details(view, block, what) for what in ("sm_clock_limit_mhz", "power_limit_watts")),
            Cell("whole" if block.whole else "left out: several devices", bold=not block.whole),
        )
        for block in view.blocks.values()
    )
    columns = (
        "block",
        "device",
        "node",
        "driver",
        "clock limit (MHz)",
        "power limit (W)",
        "in ratios",
    )
    note = "A block is all arms of one seed and repeat. What a device's clocks did meanwhile stands by stage."
    return Table("blocks", "Where blocks ran", columns, rows, (note,))


def _stages(view: ComparisonView, block: BlockDevices) -> list[StageResult]:
    cells = [cell for cell in view.record.plan.cells if (cell.seed, cell.repeat) == block.key]
    return [stage for cell in cells for stage in view.stages_of(cell)]


def _facts(view: ComparisonView, block: BlockDevices, what: str) -> Cell:
    return _listed([getattr(stage.environment, what) for stage in _stages(view, block)])


def _details(view: ComparisonView, block: BlockDevices, what: str) -> Cell:
    return _listed([stage.environment.details.get(what) for stage in _stages(view, block)])


def _listed(values: list[object]) -> Cell:
    known = dict.fromkeys(
        f"{value:g}" if isinstance(value, float) else str(value) for value in values if value
    )
    return Cell(", ".join(known) or None, reason="not recorded")
