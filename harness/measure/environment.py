"""Where a figure was measured: machine, driver, versions, commit."""

from __future__ import annotations

import functools
import hashlib
import os
import platform
import shutil
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

from harness.errors import UserError
from harness.measure import device, gpus
from harness.measure.nvml import open_nvml
from harness.records import DeviceKind, Environment

PACKAGES = (
    "torch",
    "transformers",
    "trl",
    "datasets",
    "peft",
    "accelerate",
    "tokenizers",
    "safetensors",
    "numpy",
    "triton",
    "bitsandbytes",
    "flash-attn",
    "liger-kernel",
    "vllm",
    "lm-eval",
    "alpaca-eval",
    "mlflow",
    "pandas",
    "orpo-harness",
)
UNKNOWN_DEVICE = "unknown GPU"
ROOT = Path(__file__).resolve().parents[2]


def versions(also: Iterable[str] = ()) -> dict[str, str]:
    """Installed versions of the packages that make results, and of `also`; imports none of them."""
    by_package = {}
    for package in dict.fromkeys((*PACKAGES, *also)):
        try:
            by_package[package] = _version(package)
        except metadata.PackageNotFoundError:
            continue
    return by_package


@functools.cache
def _version(package: str) -> str:
    return metadata.version(package)


def cpu_name() -> str:
    """The processor's model name."""
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        return platform.processor() or platform.machine()
    return platform.machine()


def cores() -> str | None:
    """The processors that this process may use, as `0-3,8`; None where the system does not tell."""
    if not hasattr(os, "sched_getaffinity"):
        return None
    spans: list[list[int]] = []
    for core in sorted(os.sched_getaffinity(0)):
        if spans and core == spans[-1][1] + 1:
            spans[-1][1] = core
        else:
            spans.append([core, core])
    return ",".join(str(first) if first == last else f"{first}-{last}" for first, last in spans)


def device_identity() -> str:
    """What a cost belongs to: the GPU's UUID, or the CPU's name and count. Imports no torch.

    `UNKNOWN_DEVICE` where there is a GPU that neither the driver's library nor torch names.
    """
    return _identity(gpus.chosen().gpu)


def device_identities(devices: int) -> tuple[str, ...]:
    """Those of the GPUs that stages on `devices` take, or of the CPU; raises UserError where there are too
    few."""
    taken = gpus.chosen_for(devices)
    return tuple(map(_identity, taken)) or (_identity(None),)


def _identity(gpu: gpus.Gpu | None) -> str:
    if gpu is None:
        return f"cpu:{cpu_name()}:{os.cpu_count()}"
    return UNKNOWN_DEVICE if gpu.uuid is None else f"{gpu.kind}:{gpu.uuid}"


def gpu_kind(gpu: gpus.Gpu) -> str:
    """What all GPUs of a sort share; raises UserError where nobody names it."""
    if gpu.name is None:
        raise UserError(
            "the GPU does not say what it is, so blocks on several could not be told to be alike",
            where=gpu.entry,
            remedy="run on one device (leave `executor` out)",
        )
    return f"{gpu.kind}:{gpu.name}"


def cpu_kind(threads: int, name: str | None = None) -> str:
    """What all groups of so many cores of the processor `name`, by default this one's, share."""
    return f"cpu:{name or cpu_name()}:{threads}"


def kind_here() -> str:
    """What kind of device this process was given."""
    gpu = gpus.chosen().gpu
    if gpu is not None:
        return gpu_kind(gpu)
    return cpu_kind(int(os.environ.get("OMP_NUM_THREADS") or os.cpu_count() or 1))


def driver_version() -> str | None:
    """The NVIDIA driver's version, or None without one."""
    nvml, _ = open_nvml()
    return None if nvml is None else nvml.facts()["driver"]


def host_memory_bytes() -> int:
    """Physical memory of the host."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def lock_digest() -> str:
    """sha256 of name==version of everything installed, in order.

    What is installed, not `constraints.txt`: constraints never replace a torch that is there.
    """
    installed = sorted({f"{d.name}=={d.version}" for d in metadata.distributions()})
    return hashlib.sha256("\n".join(installed).encode()).hexdigest()[:16]


def constraints_digest(path: Path = ROOT / "constraints.txt") -> str | None:
    """sha256 of the known-good versions that an installation started from, or None without them."""
    return hashlib.sha256(path.read_bytes()).hexdigest()[:16] if path.is_file() else None


def git_state(folder: Path = ROOT) -> tuple[str | None, bool | None]:
    """The project's commit and whether its tree differs from it; None outside a checkout."""
    git = shutil.which("git")
    if git is None or not (folder / ".git").exists():
        return None, None
    commit = _git(git, folder, "rev-parse", "HEAD")
    status = _git(git, folder, "status", "--porcelain", "--untracked-files=no")
    return commit or None, None if status is None else bool(status)


def _git(git: str, folder: Path, *arguments: str) -> str | None:
    done = subprocess.run(
        [git, "-C", str(folder), *arguments], capture_output=True, text=True, timeout=10, check=False
    )
    return done.stdout.strip() if done.returncode == 0 else None


@dataclass(frozen=True)
class Installed:
    """What this process was made of: what it imported stays so, whatever becomes of the files."""

    commit: str | None
    dirty: bool | None
    lock_digest: str
    constraints_digest: str | None


@functools.cache
def installed() -> Installed:
    """Read once a process, and by what it forks not again; it takes some 0.15 s."""
    return Installed(*git_state(), lock_digest(), constraints_digest())


def collect(kind: DeviceKind, packages: Iterable[str] = ()) -> Environment:
    """The environment of this process on a device of `kind`, with the versions of `packages`."""
    nvml, _ = open_nvml() if kind == "cuda" else (None, None)
    gpu: dict[str, Any] = nvml.facts() if nvml else {}
    here = installed()
    on_gpu = kind != "cpu"
    return Environment(
        device=kind,
        device_name=gpu.get("name") or (device.name() if on_gpu else None) or cpu_name(),
        gpu_uuid=gpu.get("uuid") or (device.uuid() if on_gpu else None),
        other_gpus=gpus.hidden_gpus() if on_gpu else None,
        driver=gpu.get("driver"),
        node=platform.node() or None,
        cores=cores(),
        cpu_count=os.cpu_count() or 1,
        host_memory_bytes=host_memory_bytes(),
        python=platform.python_version(),
        versions=versions(packages),
        git_commit=here.commit,
        git_dirty=here.dirty,
        lock_digest=here.lock_digest,
        details={
            "constraints_digest": here.constraints_digest,
            "cpu_huge_pages": os.environ.get("THP_MEM_ALLOC_ENABLE") == "1",
            **{k: v for k, v in gpu.items() if k not in ("name", "uuid", "driver")},
        },
    )
