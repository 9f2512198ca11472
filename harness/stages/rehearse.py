"""A few steps of one training stage in a process of its own: what it will need, and that it runs.

What would fail after a day of training fails here.
"""

from __future__ import annotations

from harness.measure.utilisation import device_peak
from harness.records import DevicePeak, Measurement, RehearseFacts
from harness.stages.context import Context, Outcome
from harness.stages.train import make_job
from harness.stages.train import warm_up as warm_up


def run(context: Context) -> Outcome:
    """The rehearsal with the memory it took; facts say where it did not fit."""
    import torch

    from harness.training.rehearse import rehearse

    job = make_job(context, context.request.config["job"], context.folder)
    try:
        facts = rehearse(job, context.request.config["steps"])
    except torch.cuda.OutOfMemoryError:
        return Outcome(facts=RehearseFacts(out_of_memory=True, device_bytes=_device_bytes()))
    assert facts.prediction is not None
    assert facts.stage is not None
    memory = {m.quantity: m for m in context.memory.measurements()}
    prediction = facts.prediction.model_copy(
        update={
            "peak_memory_bytes": _value(memory, "peak_allocated_bytes"),
            "host_growth_bytes": _value(memory, "host_growth_bytes"),
            "device_bytes": _device_bytes(),
        }
    )
    peak = _peak(str(facts.stage.dtype))
    facts = facts.model_copy(update={"prediction": prediction, "peak": peak, "device_bytes": _device_bytes()})
    kept = context.folder / "model"
    return Outcome(facts=facts, outputs={"model": "model"} if kept.is_dir() else {})


def _peak(dtype: str) -> DevicePeak:
    """What MFU is a share of; measured after everything else, so that it disturbs nothing."""
    peak, reason = device_peak(dtype)
    if peak is None:
        return DevicePeak(flops_per_second=None, source=None, reason=reason)
    return DevicePeak(flops_per_second=peak.flops_per_second, source=peak.source, reason=None)


def _value(memory: dict[str, Measurement], quantity: str) -> float | None:
    measurement = memory.get(quantity)
    return None if measurement is None else measurement.value


def _device_bytes() -> int | None:
    import torch

    if not torch.cuda.is_available():
        return None
    return int(torch.cuda.get_device_properties(0).total_memory)
