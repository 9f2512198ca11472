"""Where pipelines and claims are found: in the working folder, in a checkout, in an installed package."""

from __future__ import annotations

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from harness.errors import UserError
from harness.pipeline import find
from harness.pipeline.claims import load_claims
from harness.pipeline.load import find_comparison, load_comparison

ROOT = Path(__file__).parents[3]
SHARED = ("pipelines", "reports/claims", "reports/published")


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folders as a wheel has them, seen from an empty working folder; the installed package."""
    package = tmp_path / "site-packages" / "harness"
    for folder in SHARED:
        shutil.copytree(ROOT / folder, package / "share" / folder)
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.chdir(work)
    monkeypatch.setattr(find, "PACKAGE", package)
    return package


def test_a_checkout_uses_its_own_folders() -> None:
    for folder in SHARED:
        assert find.shipped(folder) == ROOT / folder


def test_an_installed_package_uses_its_share(installed: Path) -> None:
    assert find.known_files("comparison") == [
        "a_a",
        "embedded",
        "field",
        "ladder",
        "phase",
        "rlhf",
        "tuned",
        "ultrafeedback",
    ]
    assert find.known_files("suite") == ["chat", "open_llm"]
    path = find_comparison("embedded", model=None)
    assert path == installed / "share" / "pipelines" / "embedded.yaml"
    assert [arm.name for arm in load_comparison(path).arms] == ["sft", "sft_dpo", "orpo"]
    assert len(load_claims()) > 10


def test_the_working_folder_comes_first(installed: Path) -> None:
    shutil.copytree(installed / "share" / "pipelines", "pipelines")
    shutil.copy("pipelines/embedded.yaml", "pipelines/mine.yaml")
    assert find_comparison("embedded", model=None) == Path("pipelines/embedded.yaml")
    assert "mine" in find.known_files("comparison")
    Path("reports/claims").mkdir(parents=True)
    assert load_claims() == []


def test_an_unknown_name_lists_both_places(installed: Path) -> None:
    Path("pipelines").mkdir()
    shutil.copy(installed / "share" / "pipelines" / "embedded.yaml", "pipelines/mine.yaml")
    with pytest.raises(UserError) as raised:
        find_comparison("mien", model=None)
    assert (
        'did you mean "mine"? known: a_a, embedded, field, ladder, mine, phase, rlhf, tuned, ultrafeedback'
        in str(raised.value)
    )
    assert f"(in pipelines and {installed / 'share' / 'pipelines'})" in str(raised.value)


def test_a_missing_path_is_named() -> None:
    with pytest.raises(UserError, match=r"nowhere/mine.yaml: no such file"):
        find.find_file("nowhere/mine.yaml", "comparison")


@pytest.mark.slow
def test_the_wheel_holds_all_that_is_used_at_run_time(tmp_path: Path) -> None:
    """The wheel's files are the package's and the shared folders', byte for byte."""
    pip = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", str(tmp_path), str(ROOT)]
    subprocess.run(pip, check=True, timeout=250)
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if name.startswith("harness/")}
        for folder in ("harness", *SHARED):
            for path in _tracked(folder):
                inside = path if folder == "harness" else f"harness/share/{path}"
                assert archive.read(inside) == (ROOT / path).read_bytes(), path
                names.discard(inside)
    assert names == set()


def _tracked(folder: str) -> list[str]:
    git = ["git", "-C", str(ROOT), "ls-files", "--cached", "--others", "--exclude-standard", folder]
    return subprocess.run(git, check=True, capture_output=True, text=True).stdout.split()
