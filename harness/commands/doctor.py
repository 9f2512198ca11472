"""`harness doctor`: what this machine has, and what follows from it."""

from __future__ import annotations

import importlib.util
import os
import platform
import shutil
import socket
from pathlib import Path
from typing import Any
from urllib.parse import urlparse

from harness.measure import gpus
from harness.measure.environment import cpu_name, host_memory_bytes, versions
from harness.measure.nvml import open_nvml

NEEDED = ("torch", "transformers", "trl", "datasets", "peft")
JUDGE_KEYS = ("OPENAI_API_KEY", "ANTHROPIC_API_KEY", "HF_TOKEN")


def run() -> int:
    """Print one line a fact; returns 2 where nothing could run, else 0."""
    for name, value in machine_report().items():
        print(f"{name:>14}  {value}")
    missing = [package for package in NEEDED if importlib.util.find_spec(package) is None]
    if missing:
        print(f"\nNothing can be trained: {', '.join(missing)} not installed. Run `make setup`.")
        return 2
    print("\n" + _advice())
    return 0


def machine_report() -> dict[str, Any]:
    """Facts by name; keys are said to be there or not, never shown."""
    nvml, why = open_nvml()
    disk = shutil.disk_usage(Path.cwd())
    packages = versions()
    return {
        **(_gpus() or {"GPU": f"none ({why})"}),
        "driver": (nvml.facts()["driver"] if nvml else None) or "none",
        "CPU": f"{cpu_name()}, {os.cpu_count()} cores",
        "memory": f"{host_memory_bytes() / 2**30:.1f} GiB",
        "disk here": f"{disk.free / 2**30:.1f} GiB free of {disk.total / 2**30:.1f}",
        "python": platform.python_version(),
        "packages": ", ".join(f"{k} {v}" for k, v in packages.items()),
        "bitsandbytes": "installed" if importlib.util.find_spec("bitsandbytes") else "not installed",
        "hub": "reachable" if hub_reachable() else "not reachable",
        "judge keys": ", ".join(f"{k} {'set' if os.environ.get(k) else 'not set'}" for k in JUDGE_KEYS),
        "TeX": next((t for t in ("pdflatex", "lualatex", "tectonic") if shutil.which(t)), "none"),
    }


def _gpus() -> dict[str, str]:
    """Every visible GPU by its index, and which of them would be used."""
    chosen = gpus.chosen().gpu
    return {
        f"GPU {index}": f"{gpu}{' <- chosen' if gpu == chosen else ''}"
        for index, gpu in enumerate(gpus.visible_gpus())
    }


def hub_reachable(seconds: float = 3.0) -> bool:
    """Whether a connection to the hub's address can be opened."""
    from huggingface_hub.constants import ENDPOINT

    address = urlparse(ENDPOINT)
    try:
        with socket.create_connection((address.hostname or "", address.port or 443), seconds):
            return True
    except OSError:
        return False


def _advice() -> str:
    gpu = gpus.chosen().gpu
    lines = []
    if gpu is None:
        lines.append(
            "No GPU: the embedded comparison and small models run; memory is host memory, "
            "energy and VRAM are not measured."
        )
    elif gpu.memory_bytes is not None:
        lines.append(
            "GPU: "
            + (
                "0.5B models fit with full fine-tuning."
                if gpu.memory_bytes >= 20 * 2**30
                else "use LoRA (--set training.lora.r=16) or training.quantization=4bit."
            )
        )
    if len(gpus.visible_gpus()) > 1:
        lines.append(
            f"Stages run on one GPU; choose another by --device or {gpus.DEVICE}, or several by "
            "--set executor.devices=all (blocks side by side) or training.devices (one stage on several)."
        )
    if not hub_reachable():
        lines.append("No hub: give local folders and files by --model and --data.")
    if not os.environ.get("OPENAI_API_KEY"):
        lines.append("No OPENAI_API_KEY: judge with `embedded`, or an OpenAI-compatible base_url.")
    return "\n".join(lines)
