"""Code that a module depends on, found from its imports; and the house that this reads."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from harness.running.code import reached
from harness.running.sources import Sources

ROOT = Path(__file__).parents[3]
HARNESS = ROOT / "harness"


def package(folder: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path


def files_of(root: str) -> set[str]:
    return set(reached(root, Sources()).files)


def test_a_stage_covers_its_own_settings_alone() -> None:
    """A question that is written in another way is no reason to train again."""
    own = {"train": "training_spec", "prepare": "data_spec", "evaluate": "generation_spec"}
    for room, name in own.items():
        settings = {file for file in files_of(f"harness.stages.{room}") if file.endswith("spec.py")}
        assert f"harness/pipeline/{name}.py" in settings
        assert not settings & {"harness/pipeline/spec.py", "harness/pipeline/questions_spec.py"}


def test_imports_count_wherever_they_stand_but_not_for_type_checkers(site: Path) -> None:
    package(
        site,
        {
            "digested/__init__.py": "",
            "digested/root.py": "import typing\nfrom typing import TYPE_CHECKING\n"
            "from digested import above\n\n"
            "if TYPE_CHECKING:\n    from digested import checked\n"
            "if typing.TYPE_CHECKING:\n    import digested.checked\nelse:\n    import digested.other\n\n"
            "def run():\n    from .inside import VALUE\n    import numpy.linalg\n    return VALUE\n\n"
            "import importlib\nnamed = importlib.import_module('digested.named')\n",
            **{f"digested/{n}.py": "VALUE = 1\n" for n in ("above", "inside", "checked", "other", "named")},
            "digested/unused.py": "",
        },
    )
    code = reached("digested.root", Sources())
    assert set(code.files) == {
        f"digested/{name}.py" for name in ("root", "above", "inside", "other", "named")
    }
    assert code.modules == {"numpy"}


def test_a_package_counts_for_what_it_does_on_import_not_for_what_it_passes_on(site: Path) -> None:
    package(
        site,
        {
            "passing/__init__.py": "'''Names.'''\nfrom passing.one import ONE\n"
            "from passing.two import TWO as B\n"
            "from . import three\n__all__ = ['ONE']\n\ndef helper():\n    import passing.four\n",
            "passing/one.py": "ONE = 1\n",
            "passing/two.py": "TWO = 2\n",
            "passing/three.py": "",
            "passing/four.py": "",
            "passing/asks.py": "from passing import B\n",
            "passing/asks_module.py": "from passing import three\n",
            "passing/asks_helper.py": "from passing import helper\n",
        },
    )
    assert files_of("passing.asks") == {"passing/asks.py", "passing/two.py"}
    assert files_of("passing.asks_module") == {"passing/asks_module.py", "passing/three.py"}
    assert {"passing/__init__.py", "passing/four.py", "passing/one.py"} <= files_of("passing.asks_helper")


def test_what_a_package_does_on_import_counts(site: Path) -> None:
    package(
        site,
        {
            "patching/__init__.py": "from patching import patch\npatch.apply()\n",
            "patching/patch.py": "def apply():\n    pass\n",
            "patching/method.py": "VALUE = 1\n",
            "setting/__init__.py": "import os\nos.environ['X'] = '1'\n",
            "setting/method.py": "VALUE = 1\n",
        },
    )
    assert files_of("patching.method") == {f"patching/{n}.py" for n in ("__init__", "patch", "method")}
    assert files_of("setting.method") == {"setting/__init__.py", "setting/method.py"}


@pytest.mark.parametrize(
    ("text", "same"),
    [
        ("# words\ndef f(x):\n    '''Other words.'''\n    return x + 1\n", True),
        ("def f(x):\n    return (x\n        + 1)\n", True),
        ("def f(x):\n    return x + 2\n", False),
        ("def f(x):\n    'Text.'\n    print(f.__doc__)\n    return x + 1\n", False),
    ],
)
def test_words_and_layout_change_nothing(text: str, same: bool, site: Path) -> None:
    package(site, {"worded.py": 'def f(x):\n    """Words."""\n    return x + 1\n'})
    before = reached("worded", Sources()).files
    package(site, {"worded.py": text})
    assert (reached("worded", Sources()).files == before) is same


def test_docstrings_count_where_the_code_reads_them(site: Path) -> None:
    text = "def f(x):\n    '''{}'''\n    return f.__doc__\n"
    package(site, {"reading.py": text.format("one")})
    before = reached("reading", Sources()).files
    package(site, {"reading.py": text.format("two words")})
    assert reached("reading", Sources()).files != before


def test_what_is_no_python_counts_by_its_bytes(site: Path) -> None:
    package(
        site,
        {
            "mixed/__init__.py": "",
            "mixed/method.py": "from mixed import fast\n",
            "mixed/fast.cpython-311-x86_64-linux-gnu.so": "binary",
            "mixed/prompts/one.txt": "Judge.",
            "mixed/sub/__init__.py": "",
            "mixed/sub/table.csv": "1",
            "mixed/.hidden": "",
        },
    )
    before = reached("mixed.method", Sources()).files
    assert set(before) == {
        "mixed/method.py",
        "mixed/fast.cpython-311-x86_64-linux-gnu.so",
        "mixed/prompts/one.txt",
    }
    package(site, {"mixed/prompts/one.txt": "Judge well."})
    after = reached("mixed.method", Sources()).files
    assert {name for name in after if after[name] != before[name]} == {"mixed/prompts/one.txt"}


def test_a_package_without_init_and_a_module_alone(site: Path) -> None:
    package(site, {"spread/part/method.py": "import alone\nfrom spread.part import near\n"})
    package(site, {"spread/part/near.py": "", "alone.py": "", "other.txt": "no part of it"})
    code = reached("spread.part.method", Sources())
    assert set(code.files) == {"spread/part/method.py", "spread/part/near.py"}
    assert code.modules == {"alone"}
    assert files_of("alone") == {"alone.py"}


def test_packages_of_the_same_distribution_are_followed(site: Path) -> None:
    package(site, {"front.py": "import core_of_front.part\n", "core_of_front/__init__.py": ""})
    package(site, {"core_of_front/part.py": ""})
    assert files_of("front") == {"front.py"}
    code = reached("front", Sources(), ["front", "core_of_front"])
    assert set(code.files) == {"front.py", "core_of_front/part.py"}


def test_a_plug_in_brings_what_it_uses_of_the_harness(site: Path) -> None:
    package(site, {"outside.py": "from harness.pipeline.training_spec import TrainConfig\n"})
    assert {"outside.py", "harness/pipeline/training_spec.py"} <= files_of("outside")
    assert not any(name.startswith("harness/commands") for name in files_of("outside"))


def test_names_that_are_put_together_at_run_time_stand_where_roots_are_given() -> None:
    """Such an import is invisible to digests, so whoever adds one has to add a root as well."""
    found = set()
    for path in HARNESS.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and getattr(node.func, "attr", "") == "import_module":
                assert not isinstance(node.args[0], ast.Constant)
                found.add(path.relative_to(HARNESS).as_posix())
    # The fork server imports what stages import anyway, and is no part of their results; stages/train.py
    # imports early what training/build.py imports later.
    known = {"registry.py", "stages/child.py", "training/build.py", "stages/fork_server.py"}
    assert found == known | {"stages/train.py"}


@pytest.mark.parametrize("room", ["running", "commands", "store", "stages", "pipeline"])
def test_no_circle_in_a_room(room: str) -> None:
    arrows = {path.stem: _asked_in_room(path, room) for path in (HARNESS / room).glob("*.py")}

    def leads_to(start: str, seen: frozenset[str] = frozenset()) -> frozenset[str]:
        for other in arrows.get(start, set()) - seen:
            seen = leads_to(other, seen | {other})
        return seen

    assert [module for module in arrows if module in leads_to(module)] == []


def _asked_in_room(path: Path, room: str) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module:
            parts = node.module.split(".")
            if parts[:2] == ["harness", room]:
                found |= {parts[2]} if len(parts) > 2 else {alias.name for alias in node.names}
    return found
