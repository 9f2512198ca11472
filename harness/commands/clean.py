"""`harness clean`: makes room in a folder of runs; what reproduces and shows a run stays."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from harness.full_disk import in_words
from harness.store.cleaning import Freed, can_go, free, size_of
from harness.store.run_dir import RunRoot, read_record

STAYS = "Records, reports, items, steps, requests and results stay; reports can be made again."


def run(run_names: Sequence[str], *, out: Path, yes: bool) -> int:
    """Print what can go, in bytes by kind; remove it where `yes` says so.

    Without names it is the weights of all runs and what no run needs, with names the weights of these runs
    alone. Raises UserError where a comparison is running here.
    """
    root = RunRoot(out)
    chosen = [read_record(root.find_run(name)).id for name in run_names] or None
    if not (out / "stages").is_dir():
        print(f"{out}: no runs here, nothing to clean")
        return 0
    if not yes:
        found = can_go(root, chosen)
        _print(root, found)
        if found:
            print(f"{STAYS}\nNothing was removed. Add --yes to remove it.")
        return 0
    with root.lock(f"cleaning of {out.resolve()}"):
        found = can_go(root, chosen)
        free(found)
    _print(root, found)
    if found:
        print(f"Removed. {STAYS} A stage whose weights are gone runs again where a new stage needs them.")
    return 0


def _print(root: RunRoot, found: Sequence[Freed]) -> None:
    if not found:
        print(f"{root.path}: nothing to clean")
    for kind in dict.fromkeys(one.kind for one in found):
        sizes = [one.size for one in found if one.kind == kind]
        print(f"{kind:>26}  {len(sizes):>4}  {sum(sizes):>18,} bytes  {in_words(sum(sizes))}")
    if found:
        total = sum(one.size for one in found)
        print(f"{'all':>26}  {len(found):>4}  {total:>18,} bytes  {in_words(total)}")
    paid = size_of(root.path / "cache" / "judges")
    if paid:
        print(
            f"Judges' replies stay, since asking again may cost: {root.path}/cache/judges, {in_words(paid)}"
        )
