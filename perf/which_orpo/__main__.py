"""Which ORPO is it? Losses and gradients of all implementations on identical weights and tokens, and why they
differ.

    PYTHONPATH=. python -m perf.which_orpo [--environments FOLDER] [--authors CHECKOUT] [--write]

Liger and LLaMA-Factory are installed at the first call, into environments of their own below
`--environments`. `--authors` names a checkout of the authors' repository, whose own class is then asked.
`--write` puts the tables into docs/which_orpo.md. Exits 1 where an implementation's loss or gradient is not
what the choices that are listed for it make of this project's.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

from perf.which_orpo import table
from perf.which_orpo.asked import ROOT, Answer, ask
from perf.which_orpo.attributed import IMPLEMENTATIONS, Attributed, attribute
from perf.which_orpo.authors import AUTHORS
from perf.which_orpo.world import write_world

PAGE = ROOT / "docs" / "which_orpo.md"
LEFT = 1e-6
"""What float32 log-probs may leave of a loss of about 5 and of its gradient."""


def main() -> int:
    """Ask, attribute, print; 1 where something is left."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--environments", type=Path, default=Path(".which_orpo"))
    parser.add_argument("--authors", type=Path)
    parser.add_argument("--write", action="store_true")
    given = parser.parse_args()
    if given.authors:
        os.environ[AUTHORS] = str(given.authors.resolve())
    with tempfile.TemporaryDirectory() as temporary:
        world, answers, ways = Path(temporary) / "world", dict[str, Answer | str](), dict[str, Attributed]()
        write_world(world)
        for name, (asked, changes) in IMPLEMENTATIONS.items():
            answer = answers[name] = ask(asked, world, Path(temporary) / name, given.environments.resolve())
            if isinstance(answer, Answer):
                ways[name] = attribute(world, answer, changes)
    tables = {
        "summary": table.summary(answers, ways),
        "steps": table.steps(answers, ways),
        "stability": table.stability(answers),
    }
    print("\n\n".join(tables.values()))
    if given.write:
        PAGE.write_text(filled(PAGE.read_text(encoding="utf-8"), tables), encoding="utf-8")
    return int(any(unexplained(way) for way in ways.values()))


def unexplained(way: Attributed) -> bool:
    """Whether more is left than rounding."""
    return not (way.loss_left < LEFT and way.gradient_left < LEFT)


def filled(page: str, tables: Mapping[str, str]) -> str:
    """The page with every table between the marks of its name."""
    for name, text in tables.items():
        begin, end = f"<!-- {name} -->\n", "<!-- end -->"
        before, mark, rest = page.partition(begin)
        assert mark, f"{PAGE.name} has no place for {name}"
        page = f"{before}{begin}{text}\n{end}{rest.partition(end)[2]}"
    return page


if __name__ == "__main__":
    sys.exit(main())
