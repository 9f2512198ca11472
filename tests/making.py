"""What `make` would call `harness` with: its targets run with a `harness` that writes down its arguments."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).parents[1]
HARNESS = '#!/bin/sh\nfor word in "$@"; do printf "%s\\0" "$word"; done > "$0.said"\n'
TARGETS = (
    "compare",
    "plan",
    "fetch",
    "cost",
    "report",
    "score",
    "replay",
    "calibrate",
    "ui",
    "doctor",
    "list",
)
"""Those that do nothing but call `harness`."""


def make(
    arguments: list[str], folder: Path, environment: Mapping[str, str] | None = None
) -> tuple[subprocess.CompletedProcess[str], list[str] | None]:
    """How make ended, and what it called `harness` with; None where it did not."""
    folder.mkdir(exist_ok=True)
    harness = folder / "harness"
    harness.write_text(HARNESS)
    harness.chmod(0o755)
    asked = ["make", "--no-print-directory", "-o", ".venv/.ready", f"BIN={folder}", *arguments]
    done = subprocess.run(
        asked, cwd=ROOT, capture_output=True, text=True, check=False, timeout=60, env=environment
    )
    said = folder / "harness.said"
    return done, said.read_text().split("\0")[:-1] if said.exists() else None
