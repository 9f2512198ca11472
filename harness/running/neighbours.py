"""Who else computes on the GPU when a comparison starts: no lock keeps them off it."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console

from harness.measure import gpus
from harness.measure.nvml import Nvml


def print_neighbours(console: Console) -> None:
    """One line where other processes compute on the chosen GPU; nothing where NVML does not tell."""
    gpu = gpus.chosen().gpu
    if gpu is None:
        return
    try:
        others = Nvml(gpu=gpu.entry).neighbours()
    except RuntimeError:
        return
    if others:
        console.print(in_words(others), style="yellow", highlight=False, markup=False)


def in_words(pids: list[int], proc: Path = Path("/proc")) -> str:
    """Which processes, as far as this system knows them: a container has numbers of its own."""
    named = ", ".join(f"{pid}{_owner(proc / str(pid))}" for pid in pids)
    count = "1 other process computes" if len(pids) == 1 else f"{len(pids)} other processes compute"
    return (
        f"{count} on this GPU now (process {named}): times, energy and memory will be disturbed. End it, or "
        "choose another GPU by --device."
    )


def _owner(process: Path) -> str:
    try:
        name, user = (process / "comm").read_text().strip(), process.owner()
    except (OSError, KeyError):
        return ""
    return f" {name} of {user}" if name.isprintable() else f" of {user}"
