"""orpo-harness: SFT then DPO against single-stage ORPO, at what quality and at what cost.

import harness

run = harness.compare("embedded", seeds=1)
run.scores, run.costs, run.evidence        # pandas DataFrames
run.table("main")                          # any table of the report
harness.load_run("latest")                 # a finished run, by id, folder or `latest`
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from harness.interface import Run, compare, load_run

__version__ = "0.1.0"
__all__ = ["Run", "compare", "load_run"]


def __getattr__(name: str) -> object:
    """The interface is loaded when it is first asked for, so that `import harness` stays light."""
    if name in __all__:
        from harness import interface

        return getattr(interface, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
