"""What stands in a stage's folder: what was asked, and what came of it."""

from __future__ import annotations

from pathlib import Path

from pydantic import ValidationError

from harness.records import StageRequest, StageResult
from harness.sealed import SealBroken, read_sealed


def read_whole(folder: Path) -> StageResult | None:
    """The result of the stage in `folder` if it was asked for and its outputs are there, else None."""
    result = of_its_attempt(folder)
    whole = result is not None and all((folder / output).exists() for output in result.outputs.values())
    return result if whole else None


def of_its_attempt(folder: Path) -> StageResult | None:
    """The result of the stage in `folder` if the attempt that was asked for last wrote it, else None."""
    result, asked = read_result(folder), read_request(folder)
    if result is not None and asked is not None and asked.attempt != result.attempt:
        return None
    return result


def read_result(folder: Path) -> StageResult | None:
    """The result in `folder`, or None where there is none that can be read."""
    try:
        return read_sealed(folder / "result.json", StageResult)
    except (OSError, ValueError):
        return None


def broken(folder: Path) -> str | None:
    """What is wrong with the result in `folder`, which is written at once or not at all; None without one."""
    try:
        read_sealed(folder / "result.json", StageResult)
    except SealBroken:
        return "was changed"
    except ValueError:
        return "cannot be read"
    except OSError:
        return None
    return None


def read_request(folder: Path) -> StageRequest | None:
    """The request of the stage in `folder`, or None."""
    try:
        return StageRequest.model_validate_json((folder / "request.json").read_bytes())
    except (OSError, ValidationError):
        return None
