"""A comparison of hub models and data, fetched from a stand-in of the hub, then run without any network."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hub_stand_in import StandIn

from harness.data.base_model import EMBEDDED
from harness.data.embedded.world import pairs

ROOT = Path(__file__).parents[2]
NAMED = ("embedded", "--model", "org/tiny", "--data", "org/pairs", "--score", "preference")
SMALL = ("--arms", "sft_dpo,orpo", "--seeds", "1", "--set", "data.unknown_token_limit=1")
HUB_VARIABLES = ("HF_HUB_OFFLINE", "HF_DATASETS_OFFLINE", "HF_HUB_CACHE", "HF_DATASETS_CACHE")


def harness(*arguments: str, cut: bool = False, **variables: str) -> subprocess.CompletedProcess[str]:
    """The command, with caches of its own; `cut` runs it in a network namespace without a route."""
    environment = {name: value for name, value in os.environ.items() if name not in HUB_VARIABLES}
    command = [*(["unshare", "-rn"] if cut else []), sys.executable, "-m", "harness", *arguments]
    return subprocess.run(
        command,
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
        env={**environment, "PYTHONPATH": str(ROOT), **variables},
    )


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StandIn]:
    data = tmp_path_factory.mktemp("pairs")
    for split, count in (("train", 40), ("test", 12)):
        rows = [{key: row[key] for key in ("prompt", "chosen", "rejected")} for row in pairs(split, count)]
        (data / f"{split}.jsonl").write_text("\n".join(json.dumps(row) for row in rows))
    repositories = {
        ("models", "org/tiny"): EMBEDDED,
        ("models", "org/closed"): EMBEDDED,
        ("datasets", "org/pairs"): data,
    }
    with StandIn(repositories, gated=("org/closed",)) as hub:
        yield hub


@pytest.fixture(scope="module")
def bundle(hub: StandIn, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("fetched") / "bundle"
    done = harness("fetch", *NAMED, "--to", str(folder), HF_ENDPOINT=hub.url)
    assert done.returncode == 0, done.stderr
    assert "1 of 2: model org/tiny" in done.stdout
    assert f"commit {hub.commit('datasets', 'org/pairs')[:8]}" in done.stdout
    return folder


@pytest.fixture
def no_network() -> None:
    """Skips where no namespace may be made, and makes sure that one is cut off."""
    if shutil.which("unshare") is None:
        pytest.skip("unshare is not here")
    asks = "import socket; socket.create_connection(('127.0.0.1', 80), 2)"
    done = subprocess.run(["unshare", "-rn", sys.executable, "-c", asks], capture_output=True, text=True)
    if "unshare:" in done.stderr:
        pytest.skip("no network namespace may be made here")
    assert "unreachable" in done.stderr


@pytest.mark.slow
@pytest.mark.usefixtures("no_network")
def test_the_plan_is_the_one_of_things_fetched_online(hub: StandIn, bundle: Path, tmp_path: Path) -> None:
    """Digests go by commits, so stages are reused in both directions."""
    wanted = ("plan", *NAMED, *SMALL, "--out", str(tmp_path / "runs"), "--format", "json")
    offline = harness(*wanted, "--offline", str(bundle), cut=True)
    assert offline.returncode == 0, offline.stderr
    online = harness(*wanted, HF_ENDPOINT=hub.url, HF_HUB_CACHE=str(tmp_path / "cache"))
    digests = [[stage["digest"] for stage in json.loads(done.stdout)["stages"]] for done in (offline, online)]
    assert digests[0] == digests[1]
    assert len(digests[0]) == 12


def copied(bundle: Path, folder: Path) -> tuple[Path, Path]:
    """A folder like the fetched one, and its file of weights."""
    shutil.copytree(bundle, folder, symlinks=True)
    (weights,) = folder.glob("hub/models--org--tiny/snapshots/*/model.safetensors")
    return folder, weights


@pytest.mark.slow
@pytest.mark.usefixtures("no_network")
def test_a_file_less_is_one_message_that_names_it(bundle: Path, tmp_path: Path) -> None:
    folder, lost = copied(bundle, tmp_path / "bundle")
    lost.unlink()
    done = harness("compare", *NAMED, "--out", str(tmp_path / "runs"), "--offline", str(folder), cut=True)
    assert done.returncode == 2
    assert f"{lost}: is missing" in done.stderr
    assert done.stderr.count("\n") == 1
    assert not (tmp_path / "runs").exists()


READS = (
    "from pathlib import Path; from harness.running.offline import only_from\n"
    "with only_from(Path('{folder}')):\n"
    "    from harness.data.load import DataSpec, load_pairs\n"
    "    from harness.data import base_model\n"
    "    base_model.load_tokenizer(base_model.locate('org/tiny', None, Path('none')))\n"
    "    print('pairs', len(load_pairs(DataSpec(source='org/pairs')).train))\n"
)


@pytest.mark.slow
@pytest.mark.usefixtures("no_network")
def test_a_folder_that_cannot_be_written_to_is_read(bundle: Path, tmp_path: Path) -> None:
    """Libraries lock what they read."""
    folder = tmp_path / "bundle"
    folder.mkdir()
    mounts = f"mount --bind {bundle} {folder} && mount -o remount,bind,ro {folder} && ! touch {folder}/x"
    asked = [*("unshare", "-rmn", "sh", "-c"), f'{mounts} && "$@"', "sh", sys.executable, "-c"]
    done = subprocess.run(
        [*asked, READS.format(folder=folder)], capture_output=True, text=True, cwd=ROOT, check=False
    )
    if "mount" in done.stderr and "pairs" not in done.stdout and "Traceback" not in done.stderr:
        pytest.skip("nothing can be mounted here")
    assert done.stdout == "pairs 40\n", done.stderr


@pytest.mark.slow
def test_a_second_fetch_asks_for_what_is_lost_alone(hub: StandIn, bundle: Path, tmp_path: Path) -> None:
    folder, lost = copied(bundle, tmp_path / "bundle")
    lost.resolve().unlink()
    hub.asked.clear()
    done = harness("fetch", *NAMED, "--to", str(folder), HF_ENDPOINT=hub.url)
    assert done.returncode == 0, done.stderr
    assert set(hub.asked) == {"org/tiny/model.safetensors"}
    assert lost.read_bytes() == (EMBEDDED / "model.safetensors").read_bytes()


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("given", [("embedded", "--score", "preference"), NAMED], ids=["embedded", "hub"])
@pytest.mark.usefixtures("no_network")
def test_a_comparison_runs_with_the_network_cut(given: tuple[str, ...], hub: StandIn, tmp_path: Path) -> None:
    folder, few = tmp_path / "bundle", ("--set", "data.limit=40", "--set", "data.test_limit=12")
    assert harness("fetch", *given, "--to", str(folder), HF_ENDPOINT=hub.url).returncode == 0
    where = ("--out", str(tmp_path / "runs"), "--offline", str(folder))
    done = harness("compare", *given, *SMALL, *few, *where, cut=True)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "runs" / "latest" / "report" / "report.html").is_file()
    again = harness("plan", *given, *SMALL, *few, *where, cut=True)
    assert again.returncode == 0, "a run damages nothing of what it was given"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("model", "fact"),
    [("org/closed", "gated repo"), ("org/none", 'model "org/none" cannot be loaded')],
)
def test_what_the_hub_does_not_give_is_one_message(
    model: str, fact: str, hub: StandIn, tmp_path: Path
) -> None:
    done = harness("fetch", "embedded", "--model", model, "--to", str(tmp_path / "b"), HF_ENDPOINT=hub.url)
    assert done.returncode == 2
    assert fact in done.stderr
    assert "Traceback" not in done.stderr
    assert json.loads((tmp_path / "b" / "manifest.json").read_text())["needs"] == []
