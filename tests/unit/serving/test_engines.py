"""How the servers are told what we want: this machine alone, one folder, and nothing that is run unasked."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from harness.errors import UserError
from harness.records import DeviceKind
from harness.serving import engines
from harness.serving.engines import ENGINES, Call, program


def arguments(name: str, device: DeviceKind = "cpu", *, greedy: bool = True) -> list[str]:
    made = program(ENGINES[name], Call("orpo-seed0", 8123, device, "float32", greedy), Path("/f"))
    assert made.folder == Path("/f")
    assert made.environment is not None
    assert made.environment["HF_HUB_OFFLINE"] == "1"
    assert made.environment["HF_HUB_CACHE"] == "/f/cache"
    return list(made.arguments)


@pytest.mark.parametrize("name", ENGINES)
def test_it_listens_on_this_machine_alone_and_runs_no_code_of_a_model(name: str) -> None:
    given = arguments(name)
    assert given[:2] == ["serve", "orpo-seed0"]
    assert given[given.index("--host") + 1] == "127.0.0.1"
    assert given[given.index("--port") + 1] == "8123"
    assert given[given.index("--dtype") + 1] == "float32"
    assert not {"--trust-remote-code", "--enable-cors"} & set(given)


def test_transformers_takes_little_memory_of_a_cpu_and_chooses_by_itself_on_a_gpu() -> None:
    assert "--cb-num-blocks" in arguments("transformers")
    assert "--cb-num-blocks" not in arguments("transformers", "cuda")


def test_vllm_answers_no_page_of_another_origin_and_as_greedily_as_the_run() -> None:
    given = arguments("vllm")
    assert given[given.index("--allowed-origins") + 1] == "[]"
    assert given[given.index("--override-generation-config") + 1] == '{"temperature": 0}'
    assert "--override-generation-config" not in arguments("vllm", greedy=False)


def test_transformers_knows_every_flag_that_it_is_given() -> None:
    app = pytest.importorskip("transformers.cli.transformers").app
    command = app.commands["serve"]
    params = command.make_context("serve", arguments("transformers")[1:]).params
    assert (params["force_model"], params["host"], params["port"]) == ("orpo-seed0", "127.0.0.1", 8123)
    assert (params["trust_remote_code"], params["enable_cors"]) == (False, False)
    assert params["continuous_batching"] is True


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (
            "transformers",
            r"needs fastapi, uvicorn, which is not installed; pip install 'orpo-harness\[serve\]'",
        ),
        ("vllm", "needs vllm, which is not installed; pip install vllm"),
    ],
)
def test_a_missing_package_is_said(name: str, message: str, monkeypatch: pytest.MonkeyPatch) -> None:
    found = importlib.util.find_spec
    monkeypatch.setattr(
        engines.importlib.util,
        "find_spec",
        lambda package: None if package in ("fastapi", "uvicorn", "vllm") else found(package),
    )
    with pytest.raises(UserError, match=message):
        ENGINES[name].check()
