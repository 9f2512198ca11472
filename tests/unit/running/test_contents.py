"""Contents of files and folders, commits of repositories."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.errors import UserError
from harness.pipeline.named import HubRepo, path_or_repo
from harness.running import contents
from harness.running.contents import digest_of_path, digests_of


def test_a_folder_is_its_names_and_contents(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "one.txt").write_text("1")
    before = digest_of_path(tmp_path)
    assert digest_of_path(tmp_path) == before
    (tmp_path / ".cache").mkdir()
    (tmp_path / ".cache" / "x").write_text("hidden")
    (tmp_path / "a" / "__pycache__").mkdir()
    (tmp_path / "a" / "__pycache__" / "x.pyc").write_text("made")
    assert digest_of_path(tmp_path) == before
    (tmp_path / "a" / "one.txt").write_text("2")
    changed = digest_of_path(tmp_path)
    assert changed != before
    (tmp_path / "a" / "one.txt").rename(tmp_path / "a" / "two.txt")
    assert digest_of_path(tmp_path) not in (before, changed)


def test_what_is_not_here_is_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("x")
    commits = {"org/known": "c0ffee"}

    def commit(name: str, revision: str | None, kind: str) -> str:
        if name not in commits:
            raise UserError("unreachable", remedy="check")
        return commits[name]

    monkeypatch.setattr(contents, "hub_commit", commit)
    named = [
        tmp_path / "file",
        tmp_path / "none",
        HubRepo("org/known", "model"),
        HubRepo("org/gone", "model"),
    ]
    assert digests_of(named) == {
        str(tmp_path / "file"): digest_of_path(tmp_path / "file"),
        "org/known": "c0ffee",
    }


def test_a_name_is_a_path_where_there_is_one(tmp_path: Path) -> None:
    assert path_or_repo(str(tmp_path), "model") == tmp_path
    assert path_or_repo("org/name", "dataset", "v1") == HubRepo("org/name", "dataset", "v1")


def test_offline_the_cache_knows_the_commit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import huggingface_hub.constants

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(UserError, match='model "org/name" is neither a local path nor cached'):
        contents.hub_commit("org/name", None, "model")
    ref = tmp_path / "models--org--name" / "refs" / "main"
    ref.parent.mkdir(parents=True)
    ref.write_text("abc\n")
    assert contents.hub_commit("org/name", None, "model") == "abc"
    assert contents.hub_commit("org/name", "main", "model") == "abc"
    commit = "c" * 40
    with pytest.raises(UserError, match="neither a local path nor cached"):
        contents.hub_commit("org/name", commit, "model")
    (tmp_path / "models--org--name" / "snapshots" / commit).mkdir(parents=True)
    assert contents.hub_commit("org/name", commit, "model") == commit
