"""The programs that serve: `transformers serve` and `vllm serve`, and how each is told what we want.

Both are pinned to one folder, listen on 127.0.0.1, answer no web page of another origin, run no code that a
model brings along and ask no network.
"""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from harness.errors import UserError
from harness.measure import gpus
from harness.serving.child_server import HOST, Program
from harness.serving.folder import CACHE

PAGE_TOKENS, PAGES, STEP_TOKENS = 32, 512, 256
"""On a CPU, where transformers would take most of the host's memory for keys and values: room for 16,384
tokens of all answers that are being made, and what one step reads at most."""
QUIET = {
    "HF_HUB_OFFLINE": "1",
    "HF_HUB_DISABLE_UPDATE_CHECK": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "TOKENIZERS_PARALLELISM": "false",
    "VLLM_NO_USAGE_STATS": "1",
    "DO_NOT_TRACK": "1",
}


@dataclass(frozen=True)
class Engine:
    """One program. `needs` are packages that it imports, `arguments` takes name, port, device and dtype."""

    name: str
    module: str
    needs: tuple[str, ...]
    remedy: str
    arguments: Callable[[str, int, str, str], list[str]]

    def check(self) -> None:
        """Raise UserError where a package is missing; imports none of them."""
        missing = [package for package in self.needs if importlib.util.find_spec(package) is None]
        if missing:
            raise UserError(
                f"engine {self.name} needs {', '.join(missing)}, which is not installed",
                where="--engine",
                remedy=self.remedy,
            )

    @property
    def version(self) -> str:
        """The installed version."""
        return metadata.version(self.name)


def _transformers(name: str, port: int, device: str, dtype: str) -> list[str]:
    pages = ["--cb-block-size", str(PAGE_TOKENS), "--cb-num-blocks", str(PAGES)]
    pages += ["--cb-max-batch-tokens", str(STEP_TOKENS)]
    return [
        *("serve", name, "--host", HOST, "--port", str(port)),
        *("--device", device, "--dtype", dtype, "--continuous-batching"),
        *(pages if device == "cpu" else []),
    ]


def _vllm(name: str, port: int, device: str, dtype: str) -> list[str]:
    # It finds the device by itself; its own default would let every web page ask.
    return [
        *("serve", name, "--served-model-name", name, "--host", HOST, "--port", str(port)),
        *("--dtype", dtype, "--allowed-origins", "[]"),
    ]


ENGINES = {
    engine.name: engine
    for engine in (
        Engine(
            "transformers",
            "transformers.cli.transformers",
            ("transformers", "fastapi", "uvicorn", "openai"),
            "pip install 'orpo-harness[serve]'",
            _transformers,
        ),
        Engine(
            "vllm",
            "vllm.entrypoints.cli.main",
            ("vllm",),
            "pip install vllm on a machine that it supports, or leave --engine out",
            _vllm,
        ),
    )
}


def device_name() -> str:
    """What the server is told to compute on: the chosen GPU, the only one that it sees, or the CPU."""
    gpu = gpus.chosen().gpu
    if gpu is not None:
        return "xpu" if gpu.kind == "xpu" else "cuda"
    return "auto" if sys.platform == "darwin" else "cpu"


def program(engine: Engine, *, folder: Path, name: str, port: int, device: str, dtype: str) -> Program:
    """`name` lies in `folder`, from which it is served, so that clients call it by its name."""
    arguments = engine.arguments(name, port, device, dtype)
    cache = {"HF_HUB_CACHE": str((folder / CACHE).resolve())}
    return Program(engine.module, arguments, folder, {**QUIET, **cache, **gpus.hiding()})
