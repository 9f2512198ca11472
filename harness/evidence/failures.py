"""What was asked for and is in no figure, since stages failed, in sentences."""

from __future__ import annotations

from harness.records import ComparisonRecord, MissingCell

SELECTED = "a failure may itself depend on the arm, so what is left may flatter it"


def failures(record: ComparisonRecord) -> list[str]:
    """A sentence for the arms that are left out, one for the seeds, one for other stages that failed."""
    arms = [arm["name"] for arm in record.plan.spec["arms"]]
    scored = [cell for cell in record.missing if not cell.repeat]
    lost = list(dict.fromkeys(cell.arm for cell in scored if cell.arm not in arms))
    sentences = [_lost_arm(arm, [cell for cell in scored if cell.arm == arm]) for arm in lost]
    seeds = sorted({cell.seed for cell in scored if cell.arm in arms})
    sentences += [_lost_seeds(record, seeds, scored)] if seeds else []
    of_cells = {digest for cell in record.missing for digest in (*cell.stages, cell.evaluate)}
    rest = [one for one in record.failed if one.digest not in of_cells]
    sentences += [f"{one.name} failed ({one.cause}): what it scores is missing." for one in rest]
    repeats = [cell for cell in record.missing if cell.repeat]
    return [*sentences, *([_lost_repeats(repeats)] if repeats else [])]


def _lost_repeats(cells: list[MissingCell]) -> str:
    blocks = sorted({(cell.seed, cell.repeat) for cell in cells})
    broken = next((cell.why for cell in cells if not cell.finished), "a stage failed")
    named = ", ".join(f"{repeat} of seed {seed}" for seed, repeat in blocks)
    return f"Repeat {named} is left out of every arm's costs: {broken}."


def lost_seeds(record: ComparisonRecord) -> str:
    """The end of a sentence on the seeds of a run; empty where none is left out."""
    lost = sorted({cell.seed for cell in record.missing} - set(record.plan.spec["seeds"]))
    named = ", ".join(map(str, lost))
    return f"; seed {named} is left out of every arm, since a stage failed there" if lost else ""


def _lost_arm(arm: str, cells: list[MissingCell]) -> str:
    broken = [cell for cell in cells if not cell.finished]
    if len(broken) == len(cells):
        return f"{arm} failed at every seed and is left out: {broken[0].why}."
    seeds = ", ".join(str(cell.seed) for cell in broken)
    return f"{arm} is left out: it failed at seed {seeds}, and there is no seed at which all arms finished."


def _lost_seeds(record: ComparisonRecord, seeds: list[int], cells: list[MissingCell]) -> str:
    broken = [f"{cell.arm} at seed {cell.seed}: {cell.why}" for cell in cells if not cell.finished]
    more = f"; and {len(broken) - 1} more" if len(broken) > 1 else ""
    left = ", ".join(str(seed) for seed in record.plan.spec["seeds"])
    gone = ", ".join(map(str, seeds))
    return (
        f"Seed {gone} is left out of every arm, since a stage failed ({broken[0]}{more}). Figures are over "
        f"seed {left}; {SELECTED}."
    )
