"""The GPUs that a run may use, and the one that it does. Imports no torch.

Without a distributed setting a stage computes on one GPU: libraries that see several spread a batch over
them, or refuse. `--device`, or the variable `HARNESS_DEVICE`, names it among those that are visible already.
"""

from __future__ import annotations

import contextlib
import functools
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from harness.errors import UserError
from harness.measure.device import HIDDEN, visible_entries
from harness.measure.nvml import ListedGpu, list_gpus

DEVICE = "HARNESS_DEVICE"
OTHERS = "HARNESS_OTHER_GPUS"
"""Tells a stage how many GPUs were hidden from it."""
NODES = ("/dev/nvidiactl", "/dev/kfd", "/dev/dxg")
"""What drivers of NVIDIA, AMD and WSL leave where a process may use a GPU."""
INTEL_NODES = "/dev/dri"
VARIABLES: Mapping[str, tuple[str, ...]] = {
    "cuda": ("CUDA_VISIBLE_DEVICES",),
    "rocm": ("HIP_VISIBLE_DEVICES", "CUDA_VISIBLE_DEVICES"),
    "xpu": ("ZE_AFFINITY_MASK",),
}
"""By kind, what names the visible devices; the first that is set counts, and all are set for a stage."""


@dataclass(frozen=True)
class Gpu:
    """One GPU or slice of one. `entry` is what the variables of visible devices call it.

    `uuid` is None where nobody names it: it may then be any of the machine's GPUs.
    """

    kind: str
    entry: str
    name: str | None = None
    uuid: str | None = None
    memory_bytes: int | None = None

    def __str__(self) -> str:
        size = "" if self.memory_bytes is None else f", {self.memory_bytes / 2**30:.0f} GiB"
        return f"{self.name or 'a GPU'}{size} ({self.uuid or 'no UUID'})"


@dataclass(frozen=True)
class Choice:
    """What a stage computes on, None for the CPU, and how many other GPUs are hidden from it."""

    gpu: Gpu | None
    others: int = 0


def visible_gpus() -> tuple[Gpu, ...]:
    """The GPUs that this process may use, in the order in which an index counts them."""
    if os.environ.get("CUDA_VISIBLE_DEVICES") in HIDDEN:
        return ()
    try:
        return _of_driver(list_gpus())
    except RuntimeError:
        return _of_torch() if _may_have_gpu() else ()


def chosen() -> Choice:
    """The GPU that `HARNESS_DEVICE` names, by default the first; raises UserError where there is none."""
    named = selected()
    return Choice(named[0], len(visible_gpus()) - 1) if named else Choice(None)


def selected() -> tuple[Gpu, ...]:
    """The GPUs that `HARNESS_DEVICE` names, separated by commas, by default all; raises UserError."""
    found, wanted = visible_gpus(), os.environ.get(DEVICE, "").strip()
    if not wanted:
        return found
    return tuple(dict.fromkeys(_named(found, one.strip()) for one in wanted.split(",")))


def names_several() -> bool:
    """Whether `HARNESS_DEVICE` is a list."""
    return "," in os.environ.get(DEVICE, "")


def chosen_for(devices: int) -> tuple[Gpu, ...]:
    """The GPUs of a stage on several: those that `HARNESS_DEVICE` names, by default the first ones; none
    where stages run on the CPU. Raises UserError where there are too few."""
    named, wanted = selected(), os.environ.get(DEVICE, "").strip()
    if visible_gpus() and len(named) < devices:
        which = f"--device ({DEVICE}) names {len(named)}" if wanted else f"{len(named)} can be seen"
        raise UserError(
            f"training.devices is {devices} and {which}",
            remedy="name as many, separated by commas" if wanted else f"set training.devices={len(named)}",
        )
    return named[:devices]


def _named(found: tuple[Gpu, ...], wanted: str) -> Gpu:
    if wanted.isdigit():
        named = found[int(wanted) : int(wanted) + 1]
    else:
        named = tuple(gpu for gpu in found if gpu.uuid is not None and gpu.uuid.startswith(wanted))
    if len(named) == 1:
        return named[0]
    raise UserError(
        f"no GPU {wanted}" if not named else f"{wanted} begins the UUID of several GPUs",
        where=f"--device ({DEVICE})",
        remedy=_remedy(found),
    )


@contextlib.contextmanager
def using(device: str | None) -> Iterator[None]:
    """Choose `device` for the body; None leaves the choice to the environment. Raises UserError."""
    before = os.environ.get(DEVICE)
    if device is not None:
        os.environ[DEVICE] = device
    try:
        chosen()
        yield
    finally:
        os.environ.pop(DEVICE, None)
        if before is not None:
            os.environ[DEVICE] = before


def hiding(devices: int = 1) -> dict[str, str]:
    """Variables by which a stage sees the chosen GPUs alone, and knows how many it does not see."""
    if devices > 1:
        named, others = chosen_for(devices), len(visible_gpus()) - devices
    else:
        choice = chosen()
        named, others = () if choice.gpu is None else (choice.gpu,), choice.others
    if not named:
        return {}
    entries = ",".join(gpu.entry for gpu in named)
    return {**dict.fromkeys(VARIABLES[named[0].kind], entries), OTHERS: str(others)}


def narrow_to(index: int) -> bool:
    """Let this process see but one of its GPUs, by its place among them; False where it has none."""
    gpus = visible_gpus()
    if not gpus:
        return False
    if index >= len(gpus):
        raise UserError(
            f"there is no GPU {index} for rank {index}", remedy=f"start at most {len(gpus)} processes"
        )
    os.environ |= dict.fromkeys(VARIABLES[gpus[index].kind], gpus[index].entry)
    return True


def hidden_gpus() -> int | None:
    """How many GPUs are hidden from this stage; None where nobody counted."""
    count = os.environ.get(OTHERS)
    return int(count) if count else None


def _remedy(gpus: tuple[Gpu, ...]) -> str:
    if not gpus:
        return "no GPU is visible here; leave it out"
    listed = "; ".join(f"{index}: {gpu}" for index, gpu in enumerate(gpus))
    return f"give the index or UUID of a visible one: {listed}"


def _of_driver(listed: list[ListedGpu]) -> tuple[Gpu, ...]:
    """What `CUDA_VISIBLE_DEVICES` names of the driver's list; like CUDA, up to the first unknown entry."""
    entries = visible_entries("CUDA_VISIBLE_DEVICES")
    if entries is None:
        return tuple(map(_gpu, listed))
    gpus: list[Gpu] = []
    for entry in entries:
        named = [gpu for gpu in listed if _is_named(gpu, entry)]
        if named:
            gpus += map(_gpu, named)
        elif entry.startswith("MIG-"):
            gpus.append(Gpu("cuda", entry, uuid=entry))
        else:
            break
    return tuple(dict.fromkeys(gpus))


def _is_named(gpu: ListedGpu, entry: str) -> bool:
    if entry.isdigit():
        return gpu.index == int(entry)
    return gpu.uuid is not None and gpu.uuid.startswith(entry)


def _gpu(listed: ListedGpu) -> Gpu:
    entry = listed.uuid or str(listed.index)
    return Gpu("cuda", entry, listed.name, listed.uuid, listed.memory_bytes)


def _of_torch() -> tuple[Gpu, ...]:
    """What torch sees, asked in a process of its own; one GPU without a name where it cannot tell."""
    variables = dict.fromkeys(name for names in VARIABLES.values() for name in names)
    rows = _asked_torch(tuple((name, os.environ.get(name)) for name in variables))
    if rows is None:
        return (Gpu("cuda", (visible_entries("CUDA_VISIBLE_DEVICES") or ["0"])[0]),)
    return tuple(_seen_by_torch(index, *row) for index, row in enumerate(rows))


def _seen_by_torch(index: int, kind: str, name: str, uuid: str | None, memory_bytes: int) -> Gpu:
    entries = next((e for v in VARIABLES[kind] if (e := visible_entries(v)) is not None), None)
    entry = entries[index] if entries is not None and index < len(entries) else str(index)
    return Gpu(kind, entry, name, uuid, memory_bytes)


@functools.cache
def _asked_torch(
    variables: tuple[tuple[str, str | None], ...],
) -> tuple[tuple[str, str, str | None, int], ...] | None:
    """Kind, name, UUID and bytes of each; None where torch fails. Asked once for values of `variables`."""
    try:
        done = subprocess.run(
            [sys.executable, "-m", "harness.measure.device"],
            capture_output=True,
            text=True,
            timeout=120,
            check=True,
            env={**os.environ, "CUDA_DEVICE_ORDER": "PCI_BUS_ID"},
        )
        rows = json.loads(done.stdout.strip().rpartition("\n")[2])
    except (OSError, subprocess.SubprocessError, ValueError):
        return None
    return tuple((row["kind"], row["name"], row["uuid"], row["memory_bytes"]) for row in rows)


def _may_have_gpu() -> bool:
    if any(Path(node).exists() for node in NODES):
        return True
    try:
        return "xpu" in metadata.version("torch") and Path(INTEL_NODES).exists()
    except metadata.PackageNotFoundError:
        return False
