"""The weights of a search's trials: whether they fit on the disk, and when they go."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from harness.pipeline.tuning_draws import space_of
from harness.pipeline.tuning_spec import TuningSpec
from harness.records import Plan
from harness.running.execute import Execution
from harness.running.outlook import rehearsal_of
from harness.running.ready import predictions
from harness.running.room import bytes_of, check_room
from harness.store.cleaning import free, weights_of
from harness.store.run_dir import RunRoot


class TrialRoom:
    """Keeps the weights of one round, and those that later trials may go on from, until the search is over.

    A trial is chosen by its score, and its settings train again on fresh seeds, so that nobody asks for its
    weights once it is scored. `ready` is the rehearsed comparison, `root` where the trials are.
    """

    def __init__(self, ready: Execution, tuning: TuningSpec, root: RunRoot) -> None:
        self._root = root
        self._once, self._each = _bytes_at_once(ready, tuning)
        self._started_from: dict[str, None] = {}

    def check(self, left: Mapping[str, int]) -> None:
        """Raise UserError where the weights of so many more trials of each arm do not fit."""
        needed = self._once + sum(self._each[arm] * trials for arm, trials in left.items())
        check_room(self._root.path, needed, "the weights that a search holds at once")

    def after(self, plan: Plan, scored: Iterable[str]) -> None:
        """The round of `plan` is over: let go of what no other trial starts from. `scored` are finished."""
        done = set(scored)
        cells = [cell for cell in plan.cells if cell.evaluate in done]
        self._started_from |= dict.fromkeys(digest for cell in plan.cells for digest in cell.stages[:-1])
        self._let_go(cell.stages[-1] for cell in cells if cell.stages[-1] not in self._started_from)

    def close(self) -> None:
        """The search is over: let go of the rest."""
        self._let_go(self._started_from)

    def _let_go(self, digests: Iterable[str]) -> None:
        free([one for digest in digests for one in weights_of(self._root.stage_folder(digest))])


def _bytes_at_once(ready: Execution, tuning: TuningSpec) -> tuple[float, dict[str, float]]:
    """Bytes of weights that a search holds whatever it tries, and those that each trial of an arm adds.

    Every arm's last stage is held for one round. What a stage goes on from is held to the end: once where
    nothing in it is searched, else once a trial.
    """
    plan, found = ready.plan, predictions(ready)
    once, each = 0.0, dict[str, float]()
    for arm in ready.asked.spec.arms:
        cell = next(one for one in plan.cells if one.arm == arm.name)
        rehearsals = [rehearsal_of(plan, plan.stages[digest]) for digest in cell.stages]
        sizes = [bytes_of(found[one]) if one in found else 0.0 for one in rehearsals]
        searched = space_of(tuning.space, arm)
        differs = [any(s.stage_name in searched for s in arm.stages[: i + 1]) for i in range(len(sizes))]
        before = list(zip(sizes, differs, strict=True))[:-1]
        once += sizes[-1] + sum(size for size, varied in before if not varied)
        each[arm.name] = sum(size for size, varied in before if varied)
    return once, each
