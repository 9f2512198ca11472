"""The programs that serve: `transformers serve` and `vllm serve`, and how each is told what we want.

Both are pinned to one folder, listen on 127.0.0.1, answer no web page of another origin, run no code that a
model brings along and ask no network.
"""

from __future__ import annotations

import importlib.util
import platform
import sys
from collections.abc import Callable
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from harness.errors import UserError
from harness.measure import gpus
from harness.records import DeviceKind
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
class Call:
    """What a server is started with. `greedy`: the likeliest token is chosen where a request says nothing."""

    name: str
    port: int
    device: DeviceKind
    dtype: str
    greedy: bool


@dataclass(frozen=True)
class Engine:
    """One program. `needs` are packages that it imports, `arguments` says how it is called."""

    name: str
    module: str
    needs: tuple[str, ...]
    remedy: str
    arguments: Callable[[Call], list[str]]

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


def _transformers(call: Call) -> list[str]:
    pages = ["--cb-block-size", str(PAGE_TOKENS), "--cb-num-blocks", str(PAGES)]
    pages += ["--cb-max-batch-tokens", str(STEP_TOKENS)]
    return [
        *("serve", call.name, "--host", HOST, "--port", str(call.port)),
        *("--device", call.device, "--dtype", call.dtype, "--continuous-batching"),
        *(pages if call.device == "cpu" else []),
    ]


def _vllm(call: Call) -> list[str]:
    # It finds the device by itself. Its own defaults would let every web page ask, and draw tokens at
    # temperature 1: of a model's settings it does not read `do_sample`.
    return [
        *("serve", call.name, "--served-model-name", call.name, "--host", HOST, "--port", str(call.port)),
        *("--dtype", call.dtype, "--allowed-origins", "[]"),
        *(["--override-generation-config", '{"temperature": 0}'] if call.greedy else []),
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


def device_kind() -> DeviceKind:
    """What the server is told to compute on: the chosen GPU, the only one that it sees, or the CPU."""
    gpu = gpus.chosen().gpu
    if gpu is not None:
        return "xpu" if gpu.kind == "xpu" else "cuda"
    return "mps" if sys.platform == "darwin" and platform.machine() == "arm64" else "cpu"


def program(engine: Engine, call: Call, folder: Path) -> Program:
    """`call.name` lies in `folder`, from which it is served, so that clients call it by its name."""
    cache = {"HF_HUB_CACHE": str((folder / CACHE).resolve())}
    return Program(engine.module, engine.arguments(call), folder, {**QUIET, **cache, **gpus.hiding()})
