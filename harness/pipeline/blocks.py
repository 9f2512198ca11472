"""A plan in units: what has to run on one device one after the other, and what may run side by side. Pure.

The unit of a comparison is the block, all arms of one seed. Its ratios of time, memory and energy are formed
on one device, so it is never split; whole blocks go to whatever device is free.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from harness.records import Plan, StageKind

Phase = Literal["prepare", "rehearse", "train", "evaluate", "judge"]
PHASES: tuple[Phase, ...] = ("prepare", "rehearse", "train", "evaluate", "judge")
"""In the order in which they run. All of one is over before the next begins: rehearsals decide the settings,
and what training shows to be unequal stops a comparison before anything is scored."""
PHASE_OF: dict[StageKind, Phase] = {
    "prepare": "prepare",
    "check": "prepare",
    "rehearse": "rehearse",
    "rehearse_evaluate": "rehearse",
    "train": "train",
    "evaluate": "evaluate",
    "judge": "judge",
}


@dataclass(frozen=True)
class Unit:
    """Stages that run on one device in this order, by digest; `seed` is None where they are of none.

    `needs` names the units whose results it reads; those of earlier phases are among them.
    """

    name: str
    phase: Phase
    stages: tuple[str, ...]
    needs: tuple[str, ...] = ()
    seed: int | None = None


def units_of(plan: Plan) -> tuple[Unit, ...]:
    """Every stage of `plan` in one unit, in an order in which each comes after what it needs.

    Data and checks are one unit, and so are all judges. Rehearsals that go on from each other's adapters stay
    together. Training and scoring have a unit a block, with the block's repeats, and what is scored of no
    seed (the base model) one of its own. A stage that two blocks share is the earlier one's.
    """
    seeds, grouped = _seeds(plan), dict[str, list[str]]()
    for digest in plan.order:
        grouped.setdefault(_name(plan, digest, seeds), []).append(digest)
    units = {digest: name for name, digests in grouped.items() for digest in digests}
    return tuple(
        Unit(
            name=name,
            phase=PHASE_OF[plan.stages[digests[0]].kind],
            stages=tuple(digests),
            needs=_needs(plan, name, digests, units),
            seed=seeds.get(digests[0]),
        )
        for name, digests in grouped.items()
    )


def units_in(units: Iterable[Unit], phase: Phase) -> tuple[Unit, ...]:
    """The units of one phase, which may run side by side unless they need each other."""
    return tuple(unit for unit in units if unit.phase == phase)


def _seeds(plan: Plan) -> dict[str, int]:
    """The block of each stage that trains or scores a cell: a stage's own seed may be another."""
    seeds: dict[str, int] = {}
    for cell in sorted(plan.cells, key=lambda cell: (cell.repeat, plan.spec["seeds"].index(cell.seed))):
        scored = [] if cell.evaluate is None else [cell.evaluate]
        for digest in (*cell.stages, *scored, *cell.more):
            seeds.setdefault(digest, cell.seed)
    return seeds


def _name(plan: Plan, digest: str, seeds: Mapping[str, int]) -> str:
    stage = plan.stages[digest]
    phase = PHASE_OF[stage.kind]
    if phase == "rehearse":
        return plan.stages[_first_of_chain(plan, digest)].name
    if digest in seeds:
        return f"{phase} seed {seeds[digest]}"
    return stage.name if phase == "evaluate" else phase


def _first_of_chain(plan: Plan, rehearsal: str) -> str:
    """The rehearsal that this one goes on from in the end, itself where it starts from the base model."""
    before = [d for d in plan.stages[rehearsal].needs.values() if d in plan.rehearsals]
    return _first_of_chain(plan, before[0]) if before else rehearsal


def _needs(plan: Plan, name: str, digests: Iterable[str], units: Mapping[str, str]) -> tuple[str, ...]:
    read = [units[d] for digest in digests for d in plan.stages[digest].needs.values() if d in units]
    return tuple(dict.fromkeys(other for other in read if other != name))
