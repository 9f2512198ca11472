"""What to type next, as it can be pasted: with the folder of runs where it is not the default one."""

from __future__ import annotations

import shlex
from pathlib import Path

DEFAULT_ROOT = Path("runs")
COMPARE = "harness compare "
COMPARE_ALONE = ("--until-decided", "mlflow", "--again", "--stage-timeout")
"""Flags of a comparison that its plan does not take or need."""


def out_flag(root: Path) -> str:
    """The flag, with a blank before it, that leads a command to this folder of runs; none to the default."""
    return "" if root == DEFAULT_ROOT else f" --out {shlex.quote(str(root))}"


def power_command(asked: str) -> str | None:
    """What says how many seeds would decide what the command `asked` compared; None where it cannot tell."""
    if not f"{asked} ".startswith(COMPARE) or any(flag in asked for flag in COMPARE_ALONE):
        return None
    return f"harness plan --power {asked.removeprefix(COMPARE.rstrip()).strip()}".rstrip()
