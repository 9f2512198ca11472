"""A few steps of one training stage in a process of its own: what it will need, and that it runs.

What would fail after a day of training fails here.
"""

from __future__ import annotations

from typing import Any

from harness import registry
from harness.measure.utilisation import device_peak
from harness.records import Measurement
from harness.stages.context import Context, Outcome
from harness.stages.train import make_job
from harness.stages.train import warm_up as warm_up


def run(context: Context) -> Outcome:
    """The method's rehearsal with the memory it took; facts say where it did not fit."""
    import torch

    job_config, steps = context.request.config["job"], context.request.config["steps"]
    job = make_job(context, job_config, context.folder)
    try:
        facts = registry.load("methods", job_config["method"]).rehearse(job, steps)
    except torch.cuda.OutOfMemoryError:
        return Outcome(facts={"out_of_memory": True, **_device()})
    memory = {m.quantity: m for m in context.memory.measurements()}
    facts["prediction"] |= {
        "peak_memory_bytes": _value(memory, "peak_allocated_bytes"),
        "host_growth_bytes": _value(memory, "host_growth_bytes"),
        **_device(),
    }
    facts["peak"] = _peak(str(facts["dtype"]))
    kept = context.folder / "model"
    return Outcome(facts=facts, outputs={"model": "model"} if kept.is_dir() else {})


def _peak(dtype: str) -> dict[str, Any]:
    """What MFU is a share of; measured after everything else, so that it disturbs nothing."""
    peak, reason = device_peak(dtype)
    if peak is None:
        return {"flops_per_second": None, "source": None, "reason": reason}
    return {"flops_per_second": peak.flops_per_second, "source": peak.source, "reason": None}


def _value(memory: dict[str, Measurement], quantity: str) -> float | None:
    found = memory.get(quantity)
    return None if found is None else found.value


def _device() -> dict[str, Any]:
    import torch

    if not torch.cuda.is_available():
        return {"device_bytes": None}
    return {"device_bytes": int(torch.cuda.get_device_properties(0).total_memory)}
