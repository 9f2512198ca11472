"""Every command of the docs is run, in a folder with the files that it names; `documented.py` says how."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from typing import Any

import documented
import making
import pytest
from documented import ELSEWHERE, NOT_RUN, RUN, Given

from harness import cli
from harness.data.base_model import EMBEDDED
from harness.data.embedded.world import pairs
from harness.records import FetchManifest

ROOT = Path(__file__).parents[2]
FIRST = "make compare"
SECOND = 'make compare MODEL=./my-model DATA=./pairs.jsonl SEEDS=3 SCORE="preference behaviour"'
LONG_LIVED = ("make ui",)
"""Those that end when they are told to."""


def test_every_command_of_the_docs_is_run_or_says_why_not() -> None:
    sets = [set(RUN), set(NOT_RUN), set(ELSEWHERE)]
    known = set().union(*sets)
    assert set(documented.lines()) - known == set(), "say in tests/documented.py how it is run, or why not"
    assert known - set(documented.lines()) == set(), "no page has these any more"
    assert sum(map(len, sets)) == len(known), "one place for each"


@pytest.mark.parametrize("line", ELSEWHERE)
def test_what_runs_elsewhere_does(line: str) -> None:
    path, _, name = ELSEWHERE[line].partition("::")
    assert f"def {name}(" in (ROOT / path).read_text(encoding="utf-8")


class World:
    """A folder with what the docs name, and the ids of the two runs made in it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.runs: list[str] = []

    def words(self, line: str, given: Given) -> list[str]:
        """What `harness` is given for a line of the docs, with its placeholders filled in."""
        if line.startswith("make "):
            done, said = making.make(shlex.split(line)[1:], self.folder / "bin")
            assert done.returncode == 0, done.stderr
            assert said is not None
        else:
            said = shlex.split(line.partition("harness")[2])
        runs = iter(self.runs)
        places = {"FOLDER": "./published", "DIR": "runs", "MODEL": "./my-model"}
        places["/scratch/runs"] = str(self.folder / "scratch" / "runs")
        return [*(next(runs) if word == "RUN" else places.get(word, word) for word in said), *given.smaller]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    """The files, and two finished runs made by the docs' own words; `latest` is the embedded one."""
    world = World(Path(tmp_path_factory.mktemp("docs")))
    write_files(world.folder)
    for line in (SECOND, FIRST):
        given = RUN[line]
        done = subprocess.run(
            [sys.executable, "-m", "harness", *world.words(line, given)],
            cwd=world.folder,
            capture_output=True,
            text=True,
            timeout=900,
            check=False,
        )
        assert done.returncode == 0, done.stderr + done.stdout
        check_made(world.folder, given, done.stdout)
        world.runs.insert(0, (world.folder / "runs" / "latest").resolve().name)
    os.symlink(world.folder / "runs", world.folder / "scratch" / "runs")
    return world


NOTHING_FETCHED = FetchManifest(written_by="a test", source="", needs=[], things=[], left_out=[])
"""All that the embedded comparison needs from outside."""


def write_files(folder: Path) -> None:
    """The models, pairs, comparisons, arms and published results that the docs speak of."""
    shutil.copytree(EMBEDDED, folder / "my-model")
    os.symlink("my-model", folder / "name")
    weights = shutil.ignore_patterns("*.safetensors")
    shutil.copytree(EMBEDDED, folder / "my-config", ignore=weights)
    rows = [json.dumps(pair) for split in ("train", "test") for pair in pairs(split, 40)]
    for place in (folder / "pairs.jsonl", folder / "pairs" / "train.jsonl"):
        place.parent.mkdir(exist_ok=True)
        place.write_text("\n".join(rows))
    mine = (ROOT / "pipelines" / "embedded.yaml").read_text(encoding="utf-8")
    (folder / "mine.yaml").write_text(mine.replace("name: embedded", "name: mine"))
    for _, text in documented.blocks(ROOT / "docs" / "recipes.md"):
        if text.startswith("kind: arm"):
            (folder / "pipelines").mkdir()
            (folder / "pipelines" / "alphapo.yaml").write_text(text)
    package = ROOT / "tests" / "plugin" / "alphapo" / "harness_alphapo"
    shutil.copytree(package, folder / "site" / package.name)
    about = folder / "site" / "harness_alphapo-0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: harness-alphapo\nVersion: 0\n")
    (about / "entry_points.txt").write_text("[harness.methods]\nalphapo = harness_alphapo.alphapo\n")
    (folder / "scratch").mkdir()
    (folder / "bundle").mkdir()
    (folder / "bundle" / "manifest.json").write_text(NOTHING_FETCHED.model_dump_json())
    (folder / "published").mkdir()
    for arm, share in (("sft_dpo", 5), ("orpo", 8)):
        judged = [annotation(n, arm, won=n % 10 < share) for n in range(40)]
        (folder / "published" / f"{arm}.annotations.json").write_text(json.dumps(judged))


def annotation(number: int, arm: str, *, won: bool) -> dict[str, Any]:
    """One judgment as AlpacaEval writes it."""
    texts = {"instruction": f"question {number}", "output_1": "one way", "output_2": "another way"}
    who = {"generator_1": "text_davinci_003", "generator_2": arm, "annotator": "alpaca_eval_gpt4"}
    return {**texts, **who, "preference": 2.0 if won else 1.0}


@pytest.fixture(scope="module")
def reward_model(world: World) -> Path:
    """A classifier with one output and random weights."""
    from transformers import AutoConfig, AutoModelForSequenceClassification, AutoTokenizer

    config = AutoConfig.from_pretrained(world.folder / "my-model", num_labels=1)
    AutoModelForSequenceClassification.from_config(config).save_pretrained(world.folder / "rm")
    AutoTokenizer.from_pretrained(world.folder / "my-model").save_pretrained(world.folder / "rm")
    return world.folder / "rm"


def check_made(folder: Path, given: Given, said: str) -> None:
    assert given.says in said, said
    for pattern in given.makes:
        assert [path for path in folder.glob(pattern) if path.stat().st_size], pattern


@pytest.fixture
def harness(world: World, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Any:
    """`harness` in this process, as its entry point runs it, in a folder."""
    monkeypatch.syspath_prepend(str(world.folder / "site"))
    paths = [str(world.folder / "site"), *filter(None, [os.environ.get("PYTHONPATH")])]
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(paths))

    def run(words: list[str], folder: Path) -> tuple[int, str, str]:
        monkeypatch.chdir(folder)
        monkeypatch.setattr(sys, "argv", ["harness", *words])
        capsys.readouterr()
        code = cli._run()
        return code, *capsys.readouterr()

    return run


@pytest.mark.slow
@pytest.mark.timeout(1_800)
@pytest.mark.parametrize("line", [line for line in RUN if line not in (FIRST, SECOND, *LONG_LIVED)])
def test_it_does_what_the_docs_say(
    line: str, world: World, harness: Any, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    given, folder = RUN[line], world.folder
    if "./rm" in line:
        request.getfixturevalue("reward_model")
    if given.on_a_copy:
        folder = tmp_path / "copy"
        shutil.copytree(world.folder, folder, symlinks=True)
    before = time.time()
    code, said, complained = harness(world.words(line, given), folder)
    assert code in given.codes, complained + said
    check_made(folder, given, said)
    for pattern in given.makes:
        assert max(path.stat().st_mtime for path in folder.glob(pattern)) >= before - 1, f"{pattern} is old"


@pytest.mark.slow
@pytest.mark.parametrize("line", LONG_LIVED)
def test_mlflow_answers_until_it_is_stopped(line: str, world: World) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    words = [f"--port={port}" if word == "--port=5000" else word for word in world.words(line, RUN[line])]
    server = subprocess.Popen(
        [sys.executable, "-m", "harness", *words],
        cwd=world.folder,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        answered = answers(f"http://127.0.0.1:{port}/health", server)
    finally:
        server.send_signal(signal.SIGINT)
        said, _ = server.communicate(timeout=60)
    assert answered
    assert server.returncode == 0
    check_made(world.folder, RUN[line], said)


def answers(address: str, server: subprocess.Popen[str]) -> bool:
    deadline = time.monotonic() + 90
    while time.monotonic() < deadline and server.poll() is None:
        try:
            with urllib.request.urlopen(address, timeout=5) as reply:
                return bool(reply.status == 200)
        except OSError:
            time.sleep(0.3)
    return False


@pytest.mark.slow
def test_the_paper_compiles(world: World, harness: Any) -> None:
    """By the line of the docs that follows `harness paper`."""
    if shutil.which("pdflatex") is None:
        pytest.skip("needs a TeX installation")
    code, _, complained = harness(["paper", "latest", "--style", "acl"], world.folder)
    assert code == 0, complained
    (line,) = (
        line
        for _, text in documented.blocks(ROOT / "docs" / "paper.md")
        for line in text.splitlines()
        if line.startswith("cd ")
    )
    done = subprocess.run(["sh", "-c", line], cwd=world.folder, capture_output=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout[-2000:]
    assert (world.folder / "runs" / "latest" / "paper" / "paper.pdf").stat().st_size > 10_000
