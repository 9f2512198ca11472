"""What a process that ran out of the host's memory leaves behind, and which limits stand on it."""

from __future__ import annotations

import re
import resource
from collections.abc import Iterator
from pathlib import Path

from harness.full_disk import in_words

WORDS = re.compile(
    r"(?<!OutOf)MemoryError|can't allocate memory|Cannot allocate memory|std::bad_alloc"
    r"|failed to map segment|ENOMEM|unable to allocate|can't start new thread|pthread_create failed",
    re.IGNORECASE,
)
"""What Python, numpy, torch, the loader and BLAS libraries say."""
CGROUPS = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))
NO_LIMIT = 1 << 60
REMEDY = (
    "give it more memory, end other programs, or lower what it takes (--set training.micro_batch_size=1, "
    "--set training.gradient_checkpointing=true)"
)


def explained(cause: str, log: str = "", *, killed: bool = False) -> str:
    """Why a stage failed, with limits on memory and what to do where memory is the reason or may be.

    Under a limit libraries fail in ways of their own, which name no memory.
    """
    if WORDS.search(cause):
        return f"the host's memory ran out{_limits_in_words()}; {REMEDY}"
    if killed or WORDS.search(log):
        return f"{cause}{_limits_in_words()}; {REMEDY}"
    if _address_space() is not None:
        return f"{cause}; it may be that memory ran out{_limits_in_words()}: {REMEDY}"
    return cause


def _limits_in_words() -> str:
    limits = ", ".join(f"{name} allows {in_words(size)}" for name, size in _limits())
    return f" ({limits})" if limits else ""


def _address_space() -> int | None:
    soft, _ = resource.getrlimit(resource.RLIMIT_AS)
    return None if soft == resource.RLIM_INFINITY else soft


def _limits(cgroups: tuple[Path, ...] = CGROUPS) -> Iterator[tuple[str, int]]:
    soft = _address_space()
    if soft is not None:
        yield "ulimit -v", soft
    for file in cgroups:
        try:
            size = int(file.read_text())
        except (OSError, ValueError):
            continue
        if size < NO_LIMIT:
            yield "the control group", size
