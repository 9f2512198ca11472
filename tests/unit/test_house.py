"""The architecture, held: imports go down only, and the parent stays light."""

from __future__ import annotations

import ast
import functools
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FLOORS = {
    "records": 0,
    "quantities": 0,
    "tables": 0,
    "units": 0,
    "errors": 0,
    "redact": 0,
    "untrusted": 0,
    "registry": 0,
    "jsonl": 0,
    "votes": 0.5,
    "texts": 0,
    "terminal": 1,
    "at_work": 0,
    "sealed": 0,
    "whole_file": 0,
    "artifacts": 0,
    "lock_file": 0,
    "full_disk": 0,
    "pipeline": 1,
    "measure": 1,
    "generate": 2,
    "data": 2,
    "judges": 2.5,
    "forms": 2.5,
    "methods": 2,
    "training": 3,
    "benchmarks": 3,
    "store": 4,
    "executors": 4,
    "tracking": 5,
    "stages": 5,
    "serving": 6,
    "evidence": 6,
    "arena": 6.5,
    "render": 7,
    "running": 8,
    "commands": 9,
    "cli": 10,
    "interface": 10,
    "__init__": 11,
    "__main__": 11,
}
HEAVY = ("torch", "transformers", "trl", "peft", "datasets", "mlflow", "pandas", "lm_eval", "alpaca_eval")
HEAVY += ("trackio", "wandb", "tensorboard")


@functools.cache
def nodes_of(path: Path) -> list[ast.Import | ast.ImportFrom | ast.Attribute]:
    """What the rules of the house read of a source file: its imports, and names with a dot."""
    read = (ast.Import, ast.ImportFrom, ast.Attribute)
    return [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, read)]


def room_of(path: Path) -> str:
    return path.relative_to(ROOT / "harness").parts[0].removesuffix(".py")


def imported_rooms(path: Path) -> set[str]:
    found = set()
    for node in nodes_of(path):
        names = [node.module] if isinstance(node, ast.ImportFrom) and node.module else []
        names += [a.name for a in node.names] if isinstance(node, ast.Import) else []
        names += [f"harness.{a.name}" for a in node.names] if names == ["harness"] else []
        found |= {n.split(".")[1] for n in names if n.startswith("harness.")}
    return found & set(FLOORS)


def test_imports_go_down_only() -> None:
    wrong = []
    for path in sorted((ROOT / "harness").rglob("*.py")):
        room = room_of(path)
        for other in imported_rooms(path):
            same_base = FLOORS[other] == FLOORS[room] == 0
            if other != room and FLOORS[other] >= FLOORS[room] and not same_base:
                wrong.append(f"{path.relative_to(ROOT)} imports harness.{other}")
    assert wrong == []


@pytest.mark.parametrize(
    "library", ["mlflow", "trackio", "wandb", "tensorboard", "trl", "peft", "ray", "submitit"]
)
def test_few_rooms_alone_import(library: str) -> None:
    rooms = {
        "trl": ("training",),
        "peft": ("training", "generate"),
        "ray": ("executors",),
        "submitit": ("executors",),
    }
    allowed = rooms.get(library, ("tracking",))
    for path in (ROOT / "harness").rglob("*.py"):
        for node in nodes_of(path):
            names = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            names += [a.name for a in node.names] if isinstance(node, ast.Import) else []
            assert room_of(path) in allowed or not any(n.split(".")[0] == library for n in names), path


ACCELERATORS = ("torch.cuda", "torch.xpu", "torch.mps")


def test_the_accelerator_is_asked_through_one_door() -> None:
    """`torch.cuda` and its like are said in harness.measure.device alone; `perf/` follows the same rule."""
    asking = set()
    for path in [*(ROOT / "harness").rglob("*.py"), *(ROOT / "perf").rglob("*.py")]:
        for node in nodes_of(path):
            named = isinstance(node, ast.Attribute) and f"torch.{node.attr}" in ACCELERATORS
            if named and ast.unparse(node) in ACCELERATORS:
                asking.add(str(path.relative_to(ROOT)))
    assert asking == {"harness/measure/device.py"}


@pytest.mark.parametrize("command", [["list"], ["--help"], ["compare", "--help"], ["plan"]])
def test_light_commands_import_nothing_heavy(command: list[str], tmp_path: Path) -> None:
    code = (
        "import sys, runpy\n"
        f"sys.argv = ['harness', *{command!r}]\n"
        "try:\n    runpy.run_module('harness', run_name='__main__')\n"
        "except SystemExit as stop:\n    assert not stop.code, stop.code\n"
        f"heavy = [m for m in {HEAVY!r} if m in sys.modules]\n"
        "assert not heavy, heavy\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, timeout=60)
    assert done.returncode == 0, done.stderr


def test_plug_ins_are_named_like_their_files() -> None:
    """Whatever they are: a new file is a new name, and nothing here has to know it."""
    from harness import registry

    for group, room in registry.GROUPS.items():
        folder = ROOT / "harness" / room.removeprefix("harness.")
        files = {path.stem for path in folder.glob("*.py") if not path.stem.startswith("_")}
        assert files
        assert files <= set(registry.names(group))
        for name in files:
            assert registry.module_of(group, name) == f"{room}.{name}"


def modules() -> dict[str, Path]:
    """Every module of harness by its dotted name; a package's stands for its `__init__`."""
    found = {}
    for path in sorted((ROOT / "harness").rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def imported(path: Path, known: dict[str, Path]) -> set[str]:
    """Modules that a file imports, wherever the import stands; type checkers' imports count too."""
    names: set[str] = set()
    for node in nodes_of(path):
        if isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                whole = f"{node.module}.{alias.name}"
                names.add(whole if whole in known else node.module)
        elif isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
    return names & known.keys()


def test_no_circle_in_the_whole_tree() -> None:
    known = modules()
    arrows = {name: imported(path, known) - {name} for name, path in known.items()}
    done: set[str] = set()

    def visit(name: str, on_the_way: tuple[str, ...]) -> None:
        assert name not in on_the_way, " -> ".join([*on_the_way[on_the_way.index(name) :], name])
        if name not in done:
            for other in sorted(arrows[name]):
                visit(other, (*on_the_way, name))
            done.add(name)

    for name in known:
        visit(name, ())
    assert done == known.keys()


def test_no_underscore_module_is_imported_from_another_room() -> None:
    known = modules()
    wrong = []
    for name, path in known.items():
        for other in imported(path, known):
            package, _, last = other.rpartition(".")
            if last.startswith("_") and last != "__main__" and not name.startswith(package):
                wrong.append(f"{name} imports {other}")
    assert wrong == []
