"""An arm of a comparison: by the name of its file, by that and what it changes there, or written out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from harness import registry
from harness.errors import UserError, unknown_name
from harness.pipeline.find import find_file
from harness.pipeline.spec import ArmSpec
from harness.pipeline.validate import shown, validate
from harness.pipeline.yaml_file import Document, KeyPath, read

Place = Callable[[KeyPath], str | None]
"""Where a key of the comparison stands, as a user finds it."""
OF_A_FILE = ("pipeline", "name", "stages", "sft_data", "seed_offset")


@dataclass(frozen=True)
class ReadArm:
    """What a comparison's entry says of an arm. `at` is the entry's place; `file` is the arm's own, None
    where the entry has it all, and `given` what the entry sets over the file by stage and key."""

    data: dict[str, Any]
    at: KeyPath
    where: Place
    file: Document | None = None
    given: dict[str, dict[str, Any]] | None = None

    def place(self, number: int, key: KeyPath) -> str | None:
        """Where the arm sets `key`, ("stages", STAGE, KEY), of its stage `number`."""
        if self.given and key[2] in self.given.get(key[1], {}):
            return self.where((*self.at, *key))
        own = ("stages", str(number), "config", *key[2:])
        return self.where((*self.at, *own)) if self.file is None else self.file.where(own)


def load_arm(entry: Any, index: int, where: Place) -> ReadArm:
    """`NAME`, `{pipeline: NAME, name: ..., stages: {...}, ...}`, or `{name: NAME, stages: [...], ...}`.

    Raises UserError for anything else, and for a method that there is not.
    """
    at = ("arms", str(index))
    if isinstance(entry, str):
        entry = {"pipeline": entry}
    if isinstance(entry, dict) and "pipeline" not in entry and isinstance(entry.get("stages"), list):
        return _written_out(entry, at, where)
    if not isinstance(entry, dict) or not isinstance(entry.get("pipeline"), str):
        raise UserError(
            f"arm {shown(entry)} is no name",
            where=where(at),
            remedy="give an arm's name, {pipeline: NAME}, or {name: NAME, stages: [{method: METHOD}]}",
        )
    unknown = set(entry) - {*OF_A_FILE}
    if unknown:
        raise unknown_name("key of an arm", sorted(unknown)[0], list(OF_A_FILE), where=where(at))
    return _of_a_file(entry, at, where)


def _written_out(entry: dict[str, Any], at: KeyPath, where: Place) -> ReadArm:
    def place(key: KeyPath) -> str | None:
        return where((*at, *key))

    arm = validate(ArmSpec, entry, where=place)
    _check_methods(arm, place)
    return ReadArm(arm.model_dump(), at, where)


def _of_a_file(entry: dict[str, Any], at: KeyPath, where: Place) -> ReadArm:
    document = read(find_file(entry["pipeline"], "arm", where=where(at)))
    require_kind(document, "arm")
    arm = validate(ArmSpec, document.data, where=document.where)
    _check_methods(arm, document.where)
    given = _stages_of(entry.get("stages") or {}, arm, where(at))
    stages = [{**s.model_dump(), "config": {**s.config, **given.get(s.stage_name, {})}} for s in arm.stages]
    changed: dict[str, Any] = {key: entry[key] for key in ("name", "sft_data", "seed_offset") if key in entry}
    return ReadArm({**arm.model_dump(), **changed, "stages": stages}, at, where, document, given)


def _check_methods(arm: ArmSpec, place: Place) -> None:
    for number, stage in enumerate(arm.stages):
        registry.check("methods", stage.method, where=place(("stages", str(number), "method")))


def _stages_of(stages: Any, arm: ArmSpec, where: str | None) -> dict[str, dict[str, Any]]:
    """What a comparison sets for stages of one of its arms; raises UserError for what is no such thing."""
    if not isinstance(stages, dict) or not all(isinstance(one, dict) for one in stages.values()):
        raise UserError(
            f"stages of arm {arm.name} is {shown(stages)}", where=where, remedy="give {STAGE: {KEY: VALUE}}"
        )
    known = [stage.stage_name for stage in arm.stages]
    for name in stages:
        if name not in known:
            raise unknown_name(f"stage of arm {arm.name}", name, known, where=where)
    return stages


def require_kind(document: Document, kind: str) -> None:
    """Raises UserError for a file of another kind."""
    given = document.data.get("kind")
    if given != kind:
        where, remedy = document.where(("kind",)), f"give a file that says kind: {kind}"
        raise UserError(f"kind is {shown(given)}", where=where, remedy=remedy)
