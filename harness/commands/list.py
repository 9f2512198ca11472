"""`harness list`: what there is to choose from."""

from __future__ import annotations

from harness import registry
from harness.pipeline.find import known_files


def run() -> int:
    """Print a line a kind of thing; imports none of them."""
    for kind in ("comparison", "arm"):
        print(f"{kind}s: {' '.join(known_files(kind))}")
    for group, names in registry.all_names().items():
        print(f"{group}: {' '.join(names)}")
    return 0
