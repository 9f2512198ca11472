"""A home folder that cannot be written to: libraries get other places for what they keep there."""

from __future__ import annotations

import os
import stat
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path


def make_do_without_home() -> None:
    """Where the home folder cannot be written to, name other places to libraries, and say so in one line."""
    home = _home()
    if home is not None and os.access(home, os.W_OK | os.X_OK):
        return
    places = {name: value for name, value in _places(home, _own_folder()).items() if name not in os.environ}
    if places:
        os.environ.update(places)
        shown = "there is no home folder" if home is None else f"{home}: this home cannot be written to"
        where = ", ".join(f"{name}={value}" for name, value in places.items())
        print(
            f"harness: {shown}; caches of libraries go elsewhere ({where}); set HOME or these to keep them.",
            file=sys.stderr,
        )


def _home() -> Path | None:
    try:
        return Path.home()
    except RuntimeError:
        return None


def _places(home: Path | None, folder: Path) -> Mapping[str, str]:
    """What libraries would keep at home. Models that were fetched there before can still be read there."""
    places = {"MPLCONFIGDIR": "matplotlib", "TRITON_CACHE_DIR": "triton"}
    fetched = home is not None and os.access(home / ".cache" / "huggingface", os.R_OK | os.X_OK)
    if fetched:
        places |= {"HF_DATASETS_CACHE": "datasets", "HF_MODULES_CACHE": "modules"}
    elif "XDG_CACHE_HOME" not in os.environ:
        places |= {"HF_HOME": "huggingface"}
    return {name: str(folder / place) for name, place in places.items()}


def _own_folder() -> Path:
    """A folder of this user alone in the temporary one, the same each time."""
    folder = Path(tempfile.gettempdir()) / f"orpo-harness-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    found = folder.lstat()
    if stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid() and not found.st_mode & 0o077:
        return folder
    return Path(tempfile.mkdtemp(prefix=f"orpo-harness-{os.getuid()}-"))
