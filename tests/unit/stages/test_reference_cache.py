"""Where a training stage finds log-probs that another one scored, and which it takes for its own."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from conftest import prepared_facts
from synthetic import trained

from harness.records import StageRequest
from harness.sealed import write_sealed
from harness.stages.context import Context
from harness.stages.train import _references


def asked(root: Path, model: str | None = None, **request: Any) -> Context:
    """The context of a stage `own` of `root`."""
    inputs = {"model": str(root / "stages" / model)} if model else {}
    config = {"method": "dpo", "config": {}, **request.pop("config", {})}
    whole: Any = {"digest": "own", "kind": "train", "name": "b/dpo@0", "seed": 0, "attempt": "two", **request}
    facts = prepared_facts().model_copy(update={"model_digest": "m", "model_revision": "r"})
    context: Any = SimpleNamespace(
        request=StageRequest(**whole, config=config, inputs=inputs),
        folder=root / "stages" / "own",
        prepared_facts=lambda: facts,
    )
    return context


def finish(root: Path, digest: str, attempt: str) -> None:
    folder = root / "stages" / digest
    folder.mkdir(parents=True)
    result = trained(digest, f"a/{digest}", 0, "sft").model_copy(update={"attempt": attempt})
    write_sealed(folder / "result.json", result)


def test_it_is_kept_in_the_root_under_the_stages_name(tmp_path: Path) -> None:
    cache = _references(asked(tmp_path, anew=True, config={"repeat": 2}))
    assert cache.folder == tmp_path / "cache" / "reference"
    assert (cache.digest, cache.name, cache.attempt) == ("own", "b/dpo@0", "two")
    assert (cache.anew, cache.repeat) == (True, 2)
    assert not _references(asked(tmp_path)).anew


def test_weights_come_from_an_attempt_of_the_stage_before_or_from_the_base(tmp_path: Path) -> None:
    finish(tmp_path, "sft", "one")
    assert _references(asked(tmp_path, "sft")).origin == "sft one"
    assert _references(asked(tmp_path)).origin == "m r"


def test_other_stages_are_asked_for_what_they_left(tmp_path: Path) -> None:
    finish(tmp_path, "a", "one")
    finish(tmp_path, "hurt", "one")
    file = tmp_path / "stages" / "hurt" / "result.json"
    file.write_text(file.read_text().replace('"seed": 0', '"seed": 1'))
    finished = _references(asked(tmp_path)).finished
    found = finished("a")
    assert found is not None
    assert found.attempt == "one"
    assert (finished("hurt"), finished("nowhere")) == (None, None)


@pytest.mark.parametrize(
    ("change", "same"),
    [
        ({"code": {"their/method.py": "x"}}, True),
        ({"packages": {"torch": "2"}}, False),
        ({"environment": {"OMP_NUM_THREADS": "3"}}, False),
        ({"device": "GPU-1"}, False),
    ],
)
def test_they_depend_on_packages_variables_and_device(tmp_path: Path, change: Any, same: bool) -> None:
    """A method's own code scores nothing, so that methods of other packages share a pass too."""
    covers = {"kind": "train", "seed": 0, "config": {}, "packages": {"torch": "1"}}
    before, after = (
        _references(asked(tmp_path, covers=one)).depends_on for one in (covers, {**covers, **change})
    )
    assert (before == after) == same
