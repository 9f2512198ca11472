"""`harness fetch`: bring all that a comparison needs into one folder, for machines without internet."""

from __future__ import annotations

from pathlib import Path

from harness.full_disk import in_words
from harness.pipeline.load import find_comparison
from harness.pipeline.overrides import Overrides
from harness.running.fetching import fetch
from harness.running.needs import every_spec, left_out, wanted_by
from harness.terminal import PlainConsole


def run(comparison: str | None, overrides: Overrides, *, to: Path) -> int:
    """Fetch what is not there yet, and say what the folder cannot hold; returns 0."""
    console = PlainConsole()

    def say(line: str) -> None:
        console.print(line, highlight=False, markup=False, soft_wrap=True)

    specs = every_spec(find_comparison(comparison, model=overrides.model), overrides)
    out = list({one.what: one for spec in specs for one in left_out(spec)}.values())
    wanted = wanted_by(*specs)
    manifest = fetch(wanted, out, to, say)
    for one in out:
        say(f"left out: {one.what}: {one.why}")
    files = [file for thing in manifest.things for file in thing.files]
    if not wanted:
        say("This comparison needs nothing from outside.")
    say(f"{to}: {len(files):,} files, {in_words(sum(file.bytes for file in files))}")
    say(f"Next: harness compare ... --offline {to}")
    return 0
