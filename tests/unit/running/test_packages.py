"""Versions of what a stage's code imports, and of what computes below it."""

from __future__ import annotations

from typing import Any

import pytest

from harness.running import packages
from harness.running.packages import Packages

INSTALLED: dict[str, tuple[str, list[str]]] = {
    "torch": ("2.13", ["sympy>=1", "nvidia-cublas-cu12==12.6; platform_system == 'Linux'"]),
    "transformers": ("5.23", ["numpy>=1", "tokenizers<1", "tqdm", "scikit-learn; extra == 'all'"]),
    "trl": ("1.16", ["accelerate>=1", "transformers", "pandas"]),
    "accelerate": ("1.15", ["torch", "numpy"]),
    **{name: ("1.0", []) for name in ("numpy", "tokenizers", "sympy", "tqdm", "pandas", "pydantic")},
    **{name: ("1.0", []) for name in ("nvidia-cublas-cu12", "scikit-learn", "mlflow", "bitsandbytes")},
    "scikit-image": ("0.2", []),
}


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> dict[str, tuple[str, list[str]]]:
    found = dict(INSTALLED)

    class Metadata:
        PackageNotFoundError = LookupError

        @staticmethod
        def version(name: str) -> str:
            if name not in found:
                raise LookupError(name)
            return found[name][0]

        @staticmethod
        def requires(name: str) -> list[str]:
            if name not in found:
                raise LookupError(name)
            return found[name][1]

        @staticmethod
        def packages_distributions() -> dict[str, list[str]]:
            return {"skimage": ["scikit_image"], "plug": ["plug-in"], "plug_core": ["plug-in", "other"]}

    monkeypatch.setattr(packages, "metadata", Metadata)
    monkeypatch.setattr(packages, "find_spec", lambda module: None if module == "nowhere" else object())
    return found


def test_what_is_imported_and_what_computes_below_it(installed: Any) -> None:
    found = Packages().versions_of({"trl", "pydantic", "mlflow"})
    assert found == {
        "trl": "1.16",
        "accelerate": "1.15",
        "transformers": "5.23",
        "torch": "2.13",
        "numpy": "1.0",
        "tokenizers": "1.0",
        "nvidia-cublas-cu12": "1.0",
    }


def test_companions_count_where_they_are_installed(installed: Any) -> None:
    assert "triton" not in Packages().versions_of({"torch"})
    installed["triton"] = ("3.5", [])
    assert Packages().versions_of({"torch"})["triton"] == "3.5"


def test_what_a_setting_decides_over_is_left_to_it_and_what_is_missing_is_absent(installed: Any) -> None:
    assert Packages().versions_of({"bitsandbytes", "flash_attn", "nowhere"}) == {}


def test_a_module_of_another_name_is_found_by_its_distribution(installed: Any) -> None:
    assert Packages().versions_of({"skimage"}) == {"scikit-image": "0.2"}


def test_for_what_is_not_there_nobody_reads_all_that_is_installed(
    installed: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def read() -> dict[str, list[str]]:
        raise AssertionError("this takes half a second")

    monkeypatch.setattr(packages.metadata, "packages_distributions", read)
    assert Packages().versions_of({"nowhere"}) == {}


def test_modules_of_one_distribution(installed: Any) -> None:
    assert Packages().modules_beside("plug") == ["plug", "plug_core"]
    assert Packages().modules_beside("nowhere") == []
