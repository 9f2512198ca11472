"""A few steps of one training stage in a process of its own: what it will need, and that it runs.

What would fail after a day of training fails here.
"""

from __future__ import annotations

import time

from harness.measure import device
from harness.measure.out_of_memory import is_out_of_memory
from harness.records import Measurement, RehearseFacts
from harness.stages.context import Context, Outcome
from harness.stages.shares import highest
from harness.stages.train import make_job
from harness.stages.train import warm_up as warm_up


def run(context: Context) -> Outcome:
    """The rehearsal with the memory it took; facts say where it did not fit."""
    from harness.training.rehearse import rehearse

    began = time.perf_counter()
    job = make_job(context, context.request.config["job"], context.folder)
    try:
        facts = rehearse(job, context.request.config["steps"])
    except RuntimeError as error:
        if not is_out_of_memory(error) or not context.ranks.first:
            raise
        return Outcome(facts=RehearseFacts(out_of_memory=True, device_bytes=device.total_bytes()))
    if not context.ranks.first:
        return Outcome(facts=facts)
    assert facts.prediction is not None
    memory = {m.quantity: m for m in highest(context.memory.measurements(), context.shares)}
    prediction = facts.prediction.model_copy(
        update={
            "peak_memory_bytes": _value(memory, "peak_allocated_bytes"),
            "host_growth_bytes": _value(memory, "host_growth_bytes"),
            "device_bytes": device.total_bytes(),
        }
    )
    update = {
        "prediction": prediction,
        "device_bytes": device.total_bytes(),
        "seconds": time.perf_counter() - began,
    }
    facts = facts.model_copy(update=update)
    kept = context.folder / "model"
    return Outcome(facts=facts, outputs={"model": "model"} if kept.is_dir() else {})


def _value(memory: dict[str, Measurement], quantity: str) -> float | None:
    measurement = memory.get(quantity)
    return None if measurement is None else measurement.value
