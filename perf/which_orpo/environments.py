"""A virtual environment, made once, for every implementation that this project does not install."""

from __future__ import annotations

import subprocess
import sys
import venv
from collections.abc import Sequence
from pathlib import Path

NEEDS: dict[str, Sequence[str]] = {
    "liger": ("liger-kernel==0.8.5", "torch==2.13.0", "transformers==5.23.0"),
    "llamafactory": ("llamafactory==0.9.5", "torch==2.13.0"),
}
"""By module; one that is not here runs where this program runs."""
WITHOUT: dict[str, Sequence[str]] = {"llamafactory": ("torchvision", "torchaudio")}
"""What is taken out again: packages for images and sound, which do not import beside torch's CPU build."""
MADE = "made.txt"


def python_of(module: str, folder: Path) -> tuple[Path | None, str]:
    """The interpreter that runs an implementation; None, and why, where its packages cannot be had."""
    if module not in NEEDS:
        return Path(sys.executable), ""
    home, needs = folder / module, "\n".join(NEEDS[module])
    python, made = home / "bin" / "python", home / MADE
    if made.is_file() and made.read_text(encoding="utf-8") == needs:
        return python, ""
    venv.create(home, with_pip=True, clear=True)
    without = ("uninstall", "-y", *WITHOUT.get(module, ()))
    for asked in (("install", *NEEDS[module]), *([without] if module in WITHOUT else [])):
        done = subprocess.run(
            [python, "-m", "pip", "-q", *asked], capture_output=True, text=True, check=False
        )
        if done.returncode:
            return None, last_line(done.stderr)
    made.write_text(needs, encoding="utf-8")
    return python, ""


def last_line(text: str) -> str:
    """What a program said last."""
    return next((line.strip() for line in reversed(text.splitlines()) if line.strip()), "no message")
