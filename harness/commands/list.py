"""`harness list`: what there is to choose from, and where templates are."""

from __future__ import annotations

from harness import registry
from harness.pipeline.find import known_files, shipped


def run() -> int:
    """Print a line a kind of thing; imports none of them."""
    for kind in ("comparison", "arm"):
        print(f"{kind}s: {' '.join(known_files(kind))}")
    for group, names in registry.all_names().items():
        print(f"{group}: {' '.join(names)}")
    print(f"templates: {' '.join(str(path) for path in sorted(shipped('reports/templates').iterdir()))}")
    return 0
