"""What DPO's reference model costs: sequences by hooks, its FLOPs, and its part of the difference."""

from __future__ import annotations

from collections.abc import Callable

from harness.evidence.costs import QUANTITIES, cell_cost, memory_kind, memory_name
from harness.evidence.view import ComparisonView
from harness.records import PlannedCell, ReferenceHolder, StageResult, TrainFacts
from harness.tables import Cell, CellKind, Table

KINDS: dict[str, tuple[str, CellKind]] = {
    "wall_seconds": ("training time", "seconds"),
    "peak_memory_bytes": ("", "bytes"),
    "flops": ("FLOPs", "flops"),
    "energy_joules": ("energy", "joules"),
}
COMPARED, CONTROL = ("sft_dpo", "orpo"), "sft_dpo_precomputed"
Figure = Callable[[PlannedCell], float | None]


HOLDERS = {
    ReferenceHolder.COPY: "in the loop, a frozen copy",
    ReferenceHolder.ADAPTER: "in the loop, a frozen adapter",
    ReferenceHolder.BASE: "in the loop, adapter off",
    ReferenceHolder.NOWHERE: "computed before training",
}


def reference_mode(facts: TrainFacts) -> str:
    """When a stage's reference scores, and what holds its weights meanwhile."""
    return HOLDERS[facts.reference.holder] if facts.reference else "none"


def reference_table(view: ComparisonView) -> Table:
    """One row a stage of each arm at the first seed: sequences per pair and the reference's cost."""
    columns = (
        "stage",
        "reference",
        "forwarded per pair",
        "with gradient",
        "once, before training",
        "reference FLOPs",
        "of the stage's FLOPs",
        "reference pass before training",
        "stage",
    )
    rows, seen = [], set()
    for arm in view.arms:
        for stage in view.stages_of(view.cells_of(arm)[0]):
            if stage.digest not in seen:
                seen.add(stage.digest)
                rows.append(_stage_row(stage))
    note = (
        "Sequences are counted by hooks on the models' forward and backward passes. In the loop, the "
        "reference runs within the steps and its time cannot be told from theirs; computed before, its "
        "pass has a clock of its own and is charged to the arm."
    )
    return Table("reference", "What the reference costs", columns, tuple(rows), (note,))


def _stage_row(stage: StageResult) -> tuple[Cell, ...]:
    facts = stage.facts_as(TrainFacts)
    counts = facts.sequences.model_dump() if facts.sequences else {}
    return (
        Cell(stage.name, sources=(stage.digest,)),
        Cell(reference_mode(facts)),
        *(
            Cell(counts.get(name), "number", digits=2, reason="not recorded", sources=(stage.digest,))
            for name in ("forwarded_per_pair", "with_gradient_per_pair", "once_per_pair")
        ),
        *_reference_cells(stage),
        _cell(stage, "wall_seconds", "seconds"),
    )


def _reference_cells(stage: StageResult) -> tuple[Cell, Cell, Cell]:
    """The reference's FLOPs, their share of the stage's, and its seconds where it ran apart."""
    if stage.facts_as(TrainFacts).reference is None:
        return Cell("none", "flops"), Cell("none", "percent"), Cell("none", "seconds")
    own, whole = stage.measured("reference_flops"), stage.measured("flops")
    share = Cell(None, "percent", reason="FLOPs were not counted")
    if own and own.value is not None and whole and whole.value:
        share = Cell(own.value / whole.value, "percent", digits=1, sources=(stage.digest,))
    before = stage.measured("reference_seconds")
    seconds = Cell(before.value if before else "within the steps", "seconds", sources=(stage.digest,))
    return _cell(stage, "reference_flops", "flops"), share, seconds


def _cell(stage: StageResult, quantity: str, kind: CellKind) -> Cell:
    found = stage.measured(quantity)
    if found is None:
        return Cell(None, kind, reason="not recorded")
    return Cell(found.value, kind, reason=found.reason, sources=(stage.digest,))


def attribution_table(view: ComparisonView) -> Table | None:
    """SFT then DPO less ORPO, split into stages, reference and the rest; needs the control arm."""
    if not {*COMPARED, CONTROL} <= set(view.arms):
        return None
    rows = []
    for quantity in QUANTITIES:
        title, kind = KINDS[quantity]
        cells = [
            Cell(value, kind, reason="some stage did not measure it") for value in _parts(view, quantity)
        ]
        rows.append((Cell(title or memory_name(view)), *cells))
    columns = (
        "quantity",
        "sft_dpo",
        "orpo",
        "difference",
        "of it: a stage more (SFT)",
        "of it: reference",
        "of it: implementation",
    )
    caution = (
        " Host memory holds the imports and does not repeat exactly, so its split says little."
        if memory_kind(view) == "host_rss"
        else ""
    )
    note = (
        "Mean over seeds. Reference: DPO in the loop less DPO on log-probs computed before, that pass "
        "left out. Implementation: DPO without any reference pass less ORPO; both forward and backward "
        "the same two sequences a pair, so it should be near zero. Of memory, an arm's figure is the "
        f"maximum over its stages, so SFT adds none.{caution}"
    )
    return Table("attribution", "Where the difference comes from", columns, tuple(rows), (note,))


def _parts(view: ComparisonView, quantity: str) -> list[float | None]:
    """sft_dpo, orpo, their difference, and its three parts, which add up to it."""
    both, orpo = (_mean(view, a, lambda c: cell_cost(view.stages_of(c), quantity)[0]) for a in COMPARED)
    in_loop = _mean(view, "sft_dpo", lambda c: _of(view.stages_of(c)[-1], quantity))
    bare = _mean(view, CONTROL, lambda c: _without_pass(view.stages_of(c)[-1], quantity))
    if both is None or orpo is None or in_loop is None or bare is None:
        return [both, orpo, *[None] * 4]
    return [both, orpo, both - orpo, both - in_loop, in_loop - bare, bare - orpo]


def _mean(view: ComparisonView, arm: str, figure: Figure) -> float | None:
    found = [figure(cell) for cell in view.cells_of(arm)]
    known = [value for value in found if value is not None]
    return sum(known) / len(known) if known and len(known) == len(found) else None


def _of(stage: StageResult, quantity: str) -> float | None:
    found = stage.measured(quantity)
    return None if found is None else found.value


def _without_pass(stage: StageResult, quantity: str) -> float | None:
    """A precomputed DPO stage's figure less its reference pass; of bytes the figure itself."""
    own = _of(stage, quantity)
    apart = {
        "wall_seconds": "reference_seconds",
        "flops": "reference_flops",
        "energy_joules": "reference_joules",
    }
    if own is None or quantity not in apart:
        return own
    before = _of(stage, apart[quantity])
    return None if before is None else own - before
