"""A stage's seconds and joules in its ledger: by phase, as a headline, and where each was measured."""

from __future__ import annotations

from collections.abc import Iterator

from harness.measure.energy import EnergyMeter
from harness.measure.window import HEADLINE_PHASES, REFERENCE_READ, ROLLOUT_PHASES, Window
from harness.records import Measurement, StageKind

PHASE_QUANTITIES = {
    "start_up": "start_up_seconds",
    "data": "data_seconds",
    "model_load": "model_load_seconds",
    "reference": "reference_seconds",
    "reference_read": "reference_read_seconds",
    "train": "train_seconds",
    **{phase: f"{phase}_seconds" for phase in ROLLOUT_PHASES},
    "save": "save_seconds",
    "evaluation": "evaluation_seconds",
    "checkpoint": "checkpoint_seconds",
    "audit": "audit_seconds",
    "counting": "counting_seconds",
    "generation": "generation_seconds",
    "scoring": "scoring_seconds",
}
AMORTISED_SECONDS, AMORTISED_JOULES = "amortised_seconds", "amortised_joules"
"""What was spent here, where a stage is charged for more."""


def clock_ledger(window: Window, kind: StageKind) -> list[Measurement]:
    """Each phase, and for training stages the headline: model load to final checkpoint.

    What another stage measured is charged as if it had run here; beside it stands what was spent here.
    """
    figures = [
        _seconds(PHASE_QUANTITIES[phase], window.seconds[phase], _source(window, phase))
        for phase in PHASE_QUANTITIES
        if phase in window.seconds
    ]
    if kind != "train":
        return figures
    headline = _seconds(
        "wall_seconds",
        window.headline(),
        f"clock: {' + '.join(_headline_phases(window))}{_elsewhere(window)}",
    )
    return [headline, *figures, *_spent_seconds(window)]


def energy_ledger(energy: EnergyMeter, window: Window, kind: StageKind) -> list[Measurement]:
    """Joules of a training stage's headline phases, of another stage all; absent where none are measured."""
    if kind != "train":
        return energy.measurements()
    headline = {phase: window.joules[phase] for phase in HEADLINE_PHASES if phase in window.joules}
    figures = energy.measurements(headline)
    if not window.charged or figures[0].value is None:
        return figures
    figures = [m.model_copy(update={"source": m.source + _elsewhere(window)}) for m in figures]
    spent = {phase: window.joules[phase] for phase in _spent_phases(window) if phase in window.joules}
    source, value = f"NVML total energy of the GPU: {' + '.join(spent)}", sum(spent.values())
    here = Measurement(quantity=AMORTISED_JOULES, value=value, unit="J", scope="stage", source=source)
    return [*figures, here]


def charged_notes(window: Window) -> list[str]:
    """What spoilt the figures that the stage is charged for and did not measure itself."""
    return [
        f"{phase}, measured in {charged.where}: {note}"
        for phase, charged in window.charged.items()
        for note in charged.notes
    ]


def _headline_phases(window: Window) -> list[str]:
    """Those of every stage, and those that this one had."""
    return [p for p in HEADLINE_PHASES if p not in ROLLOUT_PHASES or p in window.seconds]


def _spent_seconds(window: Window) -> Iterator[Measurement]:
    """What a stage took that is charged for another's work too."""
    if window.charged:
        phases = _spent_phases(window)
        value = sum(window.seconds.get(phase, 0.0) for phase in phases)
        yield _seconds(AMORTISED_SECONDS, value, f"clock: {' + '.join(phases)}")


def _spent_phases(window: Window) -> list[str]:
    """The headline's phases that ran here, and what took the place of the others."""
    return [*(phase for phase in _headline_phases(window) if phase not in window.charged), REFERENCE_READ]


def _elsewhere(window: Window) -> str:
    """Which phases of a sum were measured in another stage."""
    return "".join(f"; {phase} as measured in {one.where}" for phase, one in window.charged.items())


def _source(window: Window, phase: str) -> str:
    charged = window.charged.get(phase)
    return "clock" if charged is None else f"clock of {charged.where}"


def _seconds(quantity: str, value: float, source: str) -> Measurement:
    return Measurement(quantity=quantity, value=value, unit="s", scope="stage", source=source)
