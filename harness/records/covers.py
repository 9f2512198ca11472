"""What a stage's digest covers. Apart from the plan, since every stage's process reads it."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from harness.records.base import Record, StageKind


class Covers(Record):
    """What a stage's digest covers, part by part: all that can change its result.

    `inputs` maps a role ("prepared", "model", ...) to what of that stage's result is used. `code` maps a
    file to the digest of its syntax tree, `files` what the settings name (model, data, templates, prompts,
    task folders) to the digest of its contents or its commit, `packages` a distribution to its version.
    `environment` holds variables of a stated list; `device` is None for stages that need none. `beside` is
    what the stage reads and the digest leaves out, since it changes neither weights nor costs nor scores.
    """

    kind: StageKind
    seed: int
    config: dict[str, Any]
    inputs: dict[str, str] = Field(default_factory=dict)
    code: dict[str, str] = Field(default_factory=dict)
    packages: dict[str, str] = Field(default_factory=dict)
    files: dict[str, str] = Field(default_factory=dict)
    environment: dict[str, str] = Field(default_factory=dict)
    device: str | None = None
    beside: dict[str, str] = Field(default_factory=dict)
