"""A phase of forward passes: its seconds, and what its passes cost."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from harness.generate import LoadedModel
from harness.records import Measurement, Unit
from harness.stages.context import Context


@contextlib.contextmanager
def passes(
    context: Context, model: LoadedModel | None, phase: str, *, unseen: str | None = None
) -> Iterator[list[Measurement]]:
    """Time a phase and count its forward passes; the list is filled when the phase ends.

    `unseen` says why no hook sees them; without a model there are none.
    """
    from harness.measure.passes import PassTally

    ledger: list[Measurement] = []
    if model is None:
        with context.window.phase(phase):
            yield ledger
        return
    tally = PassTally(model.model).start() if unseen is None else None
    with context.window.phase(phase):
        yield ledger
    if tally is None:
        ledger += [_figure(f"{phase}_flops", None, "FLOP", unseen)]
        ledger += [_figure(f"{phase}_tokens", None, "token", unseen)]
        return
    tally.stop()
    ledger += [_figure(f"{phase}_flops", tally.flops, "FLOP", tally.reason)]
    ledger += [_figure(f"{phase}_tokens", tally.tokens, "token", None)]


def _figure(quantity: str, value: float | None, unit: Unit, reason: str | None) -> Measurement:
    return Measurement(
        quantity=quantity,
        value=value,
        unit=unit,
        scope="stage",
        source="formula over hooked passes",
        reason=reason,
    )
