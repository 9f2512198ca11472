"""The process of a server: tied to whoever started it, then the server's own program.

`python -m harness.serving.child LIFELINE FOLDER MODULE ARGUMENT...`
"""

from __future__ import annotations

import os
import runpy
import sys

from harness.stages.lifeline import end_with_parent


def main(lifeline: int, folder: str, module: str, arguments: list[str]) -> None:
    """Run `module` as a program in `folder`, and end when nobody holds the lifeline's other end."""
    end_with_parent(lifeline)
    os.chdir(folder)
    sys.argv = [module, *arguments]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2], sys.argv[3], sys.argv[4:])
