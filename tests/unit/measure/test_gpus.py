"""Which GPU a run takes, and that its stages see no other: by drivers and torches that a test makes up."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from harness.errors import UserError
from harness.measure import gpus
from harness.measure.environment import UNKNOWN_DEVICE, device_identities, device_identity
from harness.measure.gpus import DEVICE, Choice, Gpu, chosen, hiding, using, visible_gpus
from harness.measure.nvml import ListedGpu
from harness.stages.others import take_own_device
from harness.stages.runner import child_environment

GIB = 1 << 30
FIRST, SECOND, THIRD = (Gpu("cuda", f"GPU-{n}{n}", "H100", f"GPU-{n}{n}", 80 * GIB) for n in "abc")
SLICES = tuple(Gpu("cuda", f"MIG-{n}", "H100 MIG 1g", f"MIG-{n}", 10 * GIB) for n in "xy")


@pytest.fixture(autouse=True)
def clean(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (DEVICE, gpus.OTHERS, *(v for names in gpus.VARIABLES.values() for v in names)):
        monkeypatch.delenv(name, raising=False)
    gpus._asked_torch.cache_clear()


def driver(monkeypatch: pytest.MonkeyPatch, *slots: tuple[Gpu, ...]) -> None:
    """NVML lists these: one tuple a slot, with a GPU or its slices."""
    listed = [
        ListedGpu(index, gpu.name, gpu.uuid, gpu.memory_bytes)
        for index, parts in enumerate(slots)
        for gpu in parts
    ]
    monkeypatch.setattr(gpus, "list_gpus", lambda: listed)


def no_driver(monkeypatch: pytest.MonkeyPatch, *, nodes: tuple[str, ...] = ("/",)) -> None:
    def refuse() -> list[ListedGpu]:
        raise RuntimeError("the package nvidia-ml-py is not installed")

    monkeypatch.setattr(gpus, "list_gpus", refuse)
    monkeypatch.setattr(gpus, "NODES", nodes)


def torch_sees(monkeypatch: pytest.MonkeyPatch, rows: list[dict[str, Any]] | None) -> list[Any]:
    """What the process that asks torch prints; None ends it with an error. Returns its calls."""
    calls = []

    def run(command: list[str], **settings: Any) -> subprocess.CompletedProcess[str]:
        calls.append(command)
        if rows is None:
            raise subprocess.CalledProcessError(1, command)
        return subprocess.CompletedProcess(command, 0, stdout=f"a warning\n{json.dumps(rows)}\n")

    monkeypatch.setattr(gpus.subprocess, "run", run)
    return calls


def row(kind: str = "cuda", uuid: str | None = "GPU-aa") -> dict[str, Any]:
    return {"kind": kind, "name": "a GPU", "uuid": uuid, "memory_bytes": 80 * GIB}


@pytest.mark.parametrize(
    ("visible", "seen"),
    [
        (None, (FIRST, SECOND, THIRD)),
        ("2,0", (THIRD, FIRST)),
        ("GPU-bb", (SECOND,)),
        ("GPU-b", (SECOND,)),
        ("1,7,0", (SECOND,)),
        ("NoDevFiles", ()),
        ("", ()),
        ("-1", ()),
    ],
)
def test_what_cuda_would_see(
    visible: str | None, seen: tuple[Gpu, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    driver(monkeypatch, (FIRST,), (SECOND,), (THIRD,))
    if visible is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert visible_gpus() == seen


@pytest.mark.parametrize(
    ("wanted", "visible", "gpu", "others"),
    [
        ("", None, FIRST, 2),
        ("1", None, SECOND, 2),
        ("GPU-cc", None, THIRD, 2),
        ("GPU-c", None, THIRD, 2),
        ("0", "2,1", THIRD, 1),
        ("1", "2,1", SECOND, 1),
    ],
)
def test_one_gpu_is_chosen_among_those_that_are_visible(
    wanted: str, visible: str | None, gpu: Gpu, others: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    driver(monkeypatch, (FIRST,), (SECOND,), (THIRD,))
    if visible is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    monkeypatch.setenv(DEVICE, wanted)
    assert chosen() == Choice(gpu, others)
    assert device_identity() == f"cuda:{gpu.uuid}"
    environment = child_environment()
    assert environment["CUDA_VISIBLE_DEVICES"] == gpu.uuid
    assert (environment[gpus.OTHERS], environment[DEVICE]) == (str(others), "")


def test_a_stage_of_a_run_with_two_gpus_sees_one(monkeypatch: pytest.MonkeyPatch) -> None:
    driver(monkeypatch, (FIRST,), (SECOND,))
    for name, value in child_environment().items():
        monkeypatch.setenv(name, value)
    assert visible_gpus() == (FIRST,)
    assert chosen() == Choice(FIRST, 0)
    assert gpus.hidden_gpus() == 1


@pytest.mark.parametrize(
    ("wanted", "fact", "remedy"),
    [
        ("2", "no GPU 2", r"0: H100, 80 GiB \(GPU-aa\); 1: H100"),
        ("GPU-zz", "no GPU GPU-zz", "GPU-bb"),
        ("MIG-x", "no GPU MIG-x", "GPU-bb"),
        ("-1", "no GPU -1", "GPU-bb"),
        ("GPU-", "begins the UUID of several", "GPU-bb"),
    ],
)
def test_a_gpu_that_is_not_there_is_one_message(
    wanted: str, fact: str, remedy: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    driver(monkeypatch, (FIRST,), (SECOND,))
    with pytest.raises(UserError, match=fact) as error, using(wanted):
        pytest.fail("the body must not run")
    assert error.match(remedy)
    assert DEVICE not in os.environ


def test_a_wish_for_a_gpu_where_there_is_none_is_one_message(monkeypatch: pytest.MonkeyPatch) -> None:
    no_driver(monkeypatch, nodes=())
    with pytest.raises(UserError, match="no GPU is visible here"), using("0"):
        pytest.fail("the body must not run")


def test_the_choice_ends_with_the_body(monkeypatch: pytest.MonkeyPatch) -> None:
    driver(monkeypatch, (FIRST,), (SECOND,), (THIRD,))
    monkeypatch.setenv(DEVICE, "2")
    with using("1"):
        assert chosen().gpu == SECOND
    assert chosen().gpu == THIRD
    with using(None):
        assert chosen().gpu == THIRD


def test_a_slice_is_chosen_by_its_own_uuid(monkeypatch: pytest.MonkeyPatch) -> None:
    driver(monkeypatch, (FIRST,), SLICES)
    assert visible_gpus() == (FIRST, *SLICES)
    monkeypatch.setenv(DEVICE, "MIG-y")
    assert device_identity() == "cuda:MIG-y"
    assert hiding()["CUDA_VISIBLE_DEVICES"] == "MIG-y"
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1")
    monkeypatch.setenv(DEVICE, "0")
    assert device_identity() == "cuda:MIG-x"


def test_a_slice_that_the_driver_does_not_list_is_named_by_the_variable(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    driver(monkeypatch, (FIRST,))
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "MIG-hidden")
    assert device_identity() == "cuda:MIG-hidden"


def test_without_nvml_torch_names_the_gpus_in_a_process_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    no_driver(monkeypatch)
    calls = torch_sees(monkeypatch, [row(), row(uuid="GPU-bb")])
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3,5")
    monkeypatch.setenv(DEVICE, "GPU-bb")
    assert device_identity() == "cuda:GPU-bb"
    assert hiding() == {"CUDA_VISIBLE_DEVICES": "5", gpus.OTHERS: "1"}
    assert len(calls) == 1
    assert calls[0][-2:] == ["-m", "harness.measure.device"]


@pytest.mark.parametrize(
    ("kind", "variables"),
    [
        ("rocm", {"HIP_VISIBLE_DEVICES": "1", "CUDA_VISIBLE_DEVICES": "1"}),
        ("xpu", {"ZE_AFFINITY_MASK": "1"}),
    ],
)
def test_other_makers_gpus_are_hidden_by_their_own_variables(
    kind: str, variables: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    no_driver(monkeypatch)
    torch_sees(monkeypatch, [row(kind), row(kind, "GPU-bb")])
    monkeypatch.setenv(DEVICE, "1")
    assert hiding() == {**variables, gpus.OTHERS: "1"}
    assert device_identity() == f"{kind}:GPU-bb"


@pytest.mark.parametrize("rows", [None, [row(uuid=None)]])
def test_a_gpu_that_nobody_names_is_unknown_and_alone_all_the_same(
    rows: list[dict[str, Any]] | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    no_driver(monkeypatch)
    torch_sees(monkeypatch, rows)
    assert device_identity() == UNKNOWN_DEVICE
    assert hiding()["CUDA_VISIBLE_DEVICES"] == "0"


def test_a_driver_that_torch_cannot_use_leaves_the_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    no_driver(monkeypatch)
    torch_sees(monkeypatch, [])
    assert device_identity().startswith("cpu:")
    assert hiding() == {}


def test_a_machine_without_a_gpu_starts_no_process(monkeypatch: pytest.MonkeyPatch) -> None:
    no_driver(monkeypatch, nodes=())
    calls = torch_sees(monkeypatch, [row()])
    assert device_identity().startswith("cpu:")
    assert calls == []


@pytest.mark.parametrize(("version", "kind"), [("2.13.0+xpu", "xpu"), ("2.13.0+cpu", None)])
def test_intels_node_is_a_gpu_only_to_a_torch_made_for_it(
    version: str, kind: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    no_driver(monkeypatch, nodes=())
    torch_sees(monkeypatch, [row("xpu")])
    monkeypatch.setattr(gpus, "INTEL_NODES", str(tmp_path))
    monkeypatch.setattr(gpus.metadata, "version", lambda name: version)
    gpu = chosen().gpu
    assert (gpu.kind if gpu else None) == kind


def test_a_stage_on_two_devices_sees_the_first_two_or_those_that_are_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    driver(monkeypatch, (FIRST,), (SECOND,), (THIRD,))
    assert hiding(2)["CUDA_VISIBLE_DEVICES"] == "GPU-aa,GPU-bb"
    assert hiding(2)[gpus.OTHERS] == "1"
    monkeypatch.setenv(DEVICE, "2,GPU-aa")
    assert hiding(2)["CUDA_VISIBLE_DEVICES"] == "GPU-cc,GPU-aa"
    assert chosen() == Choice(THIRD, 2)
    assert device_identities(2) == ("cuda:GPU-cc", "cuda:GPU-aa")


@pytest.mark.parametrize(
    ("named", "said", "remedy"),
    [
        ("", "training.devices is 4 and 3 can be seen", "set training.devices=3"),
        ("1", "--device (HARNESS_DEVICE) names 1", "name as many, separated by commas"),
    ],
)
def test_too_few_gpus_are_said(monkeypatch: pytest.MonkeyPatch, named: str, said: str, remedy: str) -> None:
    driver(monkeypatch, (FIRST,), (SECOND,), (THIRD,))
    monkeypatch.setenv(DEVICE, named)
    with pytest.raises(UserError) as refused:
        hiding(4)
    assert said in str(refused.value)
    assert remedy in str(refused.value)


def test_on_a_cpu_any_number_of_ranks_share_it(monkeypatch: pytest.MonkeyPatch) -> None:
    driver(monkeypatch)
    assert hiding(4) == {}
    assert len(device_identities(4)) == 1


def test_a_rank_sees_its_own_gpu_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    driver(monkeypatch, (FIRST,), (SECOND,))
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "GPU-aa,GPU-bb")
    monkeypatch.setenv("RANK", "1")
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("LOCAL_RANK", "1")
    take_own_device()
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "GPU-bb"
    assert os.environ["LOCAL_RANK"] == "0"
    assert visible_gpus() == (SECOND,)
    with pytest.raises(UserError, match="there is no GPU 1 for rank 1"):
        gpus.narrow_to(1)
