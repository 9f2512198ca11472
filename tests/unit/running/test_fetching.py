"""What is in a fetched folder: needs that are whole, files that are as they were, and nothing else."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from harness.errors import UserError
from harness.pipeline.find import find_file
from harness.pipeline.load import load_comparison
from harness.pipeline.named import HubRepo
from harness.pipeline.overrides import Overrides
from harness.pipeline.spec import ComparisonSpec
from harness.records import FetchedNeed, LeftOut
from harness.running import fetching
from harness.running.fetching import fetch
from harness.running.needs import Wanted, every_spec, left_out, wanted_by
from harness.running.offline import NO_NETWORK, check_needs, only_from, read_manifest

MODEL = Path("hub/models--org--m/snapshots") / ("a" * 40)
said: list[str] = []


@pytest.fixture(autouse=True)
def may_fetch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HF_HUB_OFFLINE")
    monkeypatch.setattr(fetching, "_check_room", lambda repo, folder: None)
    said.clear()


def need(name: str) -> FetchedNeed:
    return FetchedNeed(kind="model", name=name)


def wanted(name: str, bring: Callable[[], object]) -> Wanted:
    return Wanted(need(name), bring, HubRepo(name, "model"))


def bring_model(text: str = "weights") -> None:
    """As the hub's cache lies: a blob, a link to it, no commit noted."""
    hub = Path(os.environ["HF_HUB_CACHE"])
    (hub / "models--org--m" / "blobs").mkdir(parents=True, exist_ok=True)
    (hub / "models--org--m" / "blobs" / "b1").write_text(text)
    file = hub.parent / MODEL / "model.safetensors"
    file.parent.mkdir(parents=True, exist_ok=True)
    if not file.is_symlink():
        file.symlink_to("../../blobs/b1")


def bring_data() -> None:
    folder = Path(os.environ["HF_DATASETS_CACHE"]) / "org___d" / "default"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "train.arrow").write_text("rows")
    (folder / "train.arrow.lock").write_text("")


def bring(folder: Path, *everything: Wanted) -> None:
    fetch(everything, [LeftOut(what="judge x", why="a server")], folder, said.append)


def test_the_manifest_says_what_each_thing_is(tmp_path: Path) -> None:
    folder = tmp_path / "b"
    bring(folder, wanted("org/m", bring_model), Wanted(need("org/d"), bring_data))
    manifest = read_manifest(folder)
    assert [one.name for one in manifest.needs] == ["org/m", "org/d"]
    assert [one.what for one in manifest.left_out] == ["judge x"]
    data, model = manifest.things
    assert (data.what, data.name, data.place) == ("prepared data set", "org/d", "datasets/org___d")
    assert (model.what, model.name, model.commits) == ("model", "org/m", ["a" * 40])
    refs, weights = sorted(model.files, key=lambda file: file.path)
    assert (folder / refs.path).read_text() == "a" * 40
    assert (weights.path, weights.bytes) == (str(MODEL / "model.safetensors"), 7)
    assert [file.path for file in data.files] == ["datasets/org___d/default/train.arrow"]


def test_a_second_run_fetches_what_is_missing_or_damaged_alone(tmp_path: Path) -> None:
    asked: list[str] = []

    def counted(name: str, really: Callable[[], object]) -> Callable[[], object]:
        return lambda: (asked.append(name), really())

    everything = [
        wanted("org/m", counted("org/m", bring_model)),
        Wanted(need("org/d"), counted("org/d", bring_data)),
    ]
    bring(tmp_path, *everything)
    bring(tmp_path, *everything)
    assert asked == ["org/m", "org/d"]
    assert said[-1] == "2 of 2: model org/d: here already"
    (tmp_path / "hub/models--org--m/blobs/b1").write_text("weight?")
    bring(tmp_path, *everything)
    assert asked == ["org/m", "org/d", "org/m"]
    assert (tmp_path / MODEL / "model.safetensors").read_text() == "weights"
    (tmp_path / MODEL / "model.safetensors").unlink()
    (tmp_path / "hub/models--org--m/blobs/b1").write_text("a blob that nobody would check")
    bring(tmp_path, *everything)
    assert (tmp_path / MODEL / "model.safetensors").read_text() == "weights"
    asked.pop()
    (tmp_path / "datasets/org___d/default/train.arrow").unlink()
    bring(tmp_path, *everything)
    assert asked == ["org/m", "org/d", "org/m", "org/d"]
    with only_from(tmp_path):
        pass


def test_what_was_interrupted_is_not_there(tmp_path: Path) -> None:
    def half() -> None:
        bring_data()
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        bring(tmp_path, wanted("org/m", bring_model), Wanted(need("org/d"), half))
    assert [one.name for one in read_manifest(tmp_path).needs] == ["org/m"]
    assert "datasets/org___d" not in [one.place for one in read_manifest(tmp_path).things]
    bring(tmp_path, wanted("org/m", bring_model), Wanted(need("org/d"), bring_data))
    assert len(read_manifest(tmp_path).needs) == 2


def test_a_file_that_is_not_the_hubs_by_its_digest_is_refused(tmp_path: Path) -> None:
    def truncated() -> None:
        blobs = Path(os.environ["HF_HUB_CACHE"]) / "models--org--m" / "blobs"
        blobs.mkdir(parents=True)
        (blobs / ("0" * 64)).write_text("half of it")

    with pytest.raises(UserError, match="did not arrive as the hub has it"):
        bring(tmp_path, wanted("org/m", truncated))
    assert read_manifest(tmp_path).needs == []
    assert not list(tmp_path.rglob("0" * 64))


def full() -> None:
    raise UserError("cannot be loaded", remedy="check") from OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_what_stops_a_fetch_is_one_message(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UserError, match=r"the disk is full .* the same command goes on"):
        bring(tmp_path / "a", wanted("org/m", full))
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").write_text("")
    with pytest.raises(UserError, match=r"holds other things \(thesis.tex\)"):
        bring(tmp_path / "mine", wanted("org/m", bring_model))
    with pytest.raises(UserError, match=r"thesis.tex: cannot be written"):
        bring(tmp_path / "mine" / "thesis.tex", wanted("org/m", bring_model))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(UserError, match="HF_HUB_OFFLINE is set"):
        bring(tmp_path / "a", wanted("org/m", bring_model))


def test_a_data_set_at_two_commits_is_refused(tmp_path: Path) -> None:
    def both() -> None:
        for commit in ("a" * 40, "b" * 40):
            folder = Path(os.environ["HF_HUB_CACHE"]) / "datasets--org--d" / "snapshots" / commit
            folder.mkdir(parents=True)
            (folder / "x.jsonl").write_text("{}")

    with pytest.raises(UserError, match="data set org/d is here at 2 commits"):
        bring(tmp_path, Wanted(need("org/d"), both, HubRepo("org/d", "dataset")))
    assert read_manifest(tmp_path).needs == []


@pytest.mark.parametrize(
    ("spoil", "fact"),
    [
        (lambda file: file.unlink(), "model.safetensors: is missing"),
        (lambda file: file.write_text("longer weights"), "is damaged: 14 bytes where 7 were fetched"),
        (lambda file: file.write_text("weight?"), "is damaged: its SHA-256"),
    ],
)
def test_the_file_that_is_wrong_is_named(spoil: Callable[[Path], None], fact: str, tmp_path: Path) -> None:
    bring(tmp_path, wanted("org/m", bring_model))
    spoil(tmp_path / MODEL / "model.safetensors")
    with pytest.raises(UserError, match=fact) as raised, only_from(tmp_path):
        raise AssertionError("nothing may run")
    assert raised.value.where == str(tmp_path / MODEL / "model.safetensors")


def test_only_the_folder_is_asked(tmp_path: Path) -> None:
    bring(tmp_path, wanted("org/m", bring_model))
    before = dict(os.environ)
    with only_from(tmp_path):
        assert {name: os.environ[name] for name in NO_NETWORK} == dict(NO_NETWORK)
        assert os.environ["HF_HUB_CACHE"] == str(tmp_path / "hub")
        assert os.environ["NLTK_DATA"] == str(tmp_path / "nltk_data")
    assert dict(os.environ) == before
    with only_from(None):
        assert dict(os.environ) == before


@pytest.mark.parametrize("text", ["{", "[]", '{"schema_version": 2}', '{"schema_version": 1}'])
def test_a_folder_that_is_none_of_ours_is_one_message(text: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"has no manifest.json"):
        read_manifest(tmp_path)
    (tmp_path / "manifest.json").write_text(text)
    with pytest.raises(UserError, match=r"is no manifest of `harness fetch`"):
        read_manifest(tmp_path)


def test_no_path_of_a_manifest_leads_out_of_the_folder(tmp_path: Path) -> None:
    bring(tmp_path, wanted("org/m", bring_model))
    whole = json.loads((tmp_path / "manifest.json").read_text())
    whole["things"][0]["files"][0]["path"] = "../../etc/passwd"
    (tmp_path / "manifest.json").write_text(json.dumps(whole))
    with pytest.raises(UserError, match="is no manifest"):
        read_manifest(tmp_path)


def spec_of(*sets: str, **given: str) -> ComparisonSpec:
    score = given.pop("score", "preference").split()
    overrides = Overrides(given.get("model"), given.get("data"), score=score, sets=sets)
    return load_comparison(find_file("embedded", "comparison"), overrides)


JUDGED = "benchmarks.alpaca_eval.judge"


def test_needs_are_the_models_data_tasks_and_judges_by_name(tmp_path: Path) -> None:
    assert wanted_by(spec_of()) == []
    jury = (
        "{judges: [{judge: local_lm, judge_config: {model: org/lm}}, "
        "{judge: reward_model, judge_config: {model: org/rm, revision: v1}}]}"
    )
    spec = spec_of(
        f"{JUDGED}=jury",
        f"{JUDGED}_config={jury}",
        "benchmarks.alpaca_eval.prompt_set=alpaca_eval_2",
        "benchmarks.lm_eval.tasks=[ifeval, embedded_choice]",
        "benchmarks.mt_bench.questions=org/questions",
        "benchmarks.diversity.embeddings=org/embedder",
        "data.config=one",
        model="org/m",
        data="org/d",
        score="alpaca_eval lm_eval mt_bench diversity",
    )
    assert [one.need.in_words() for one in wanted_by(spec, spec)] == [
        "model org/m",
        "data set org/d (one)",
        "files of benchmark alpaca_eval (alpaca_eval_2)",
        "model org/lm",
        "model org/rm@v1",
        "files of benchmark lm_eval (ifeval)",
        "files of benchmark mt_bench (org/questions)",
        "model org/embedder",
    ]
    with pytest.raises(UserError, match="asks a server"):
        check_needs([spec], tmp_path)


def test_every_point_of_a_sweep_has_needs() -> None:
    path = find_file("embedded", "comparison")
    specs = every_spec(path, Overrides(sets=["sweep={model: [org/a, org/b]}"]))
    assert [one.need.name for one in wanted_by(*specs)] == ["org/a", "org/b"]


def test_a_judge_on_a_server_is_left_out_and_one_message_offline(tmp_path: Path) -> None:
    bring(tmp_path)
    asks = partial(spec_of, f"{JUDGED}=openai", score="alpaca_eval")
    spec = asks(f"{JUDGED}_config={{model: m}}")
    assert [one.what for one in left_out(spec)] == ["judge openai of benchmark alpaca_eval"]
    with pytest.raises(UserError, match=r"judge openai asks a server \(OpenAI\), which --offline rules out"):
        check_needs([spec], tmp_path)
    beside = asks(f"{JUDGED}_config={{model: m, base_url: 'http://127.0.0.1:8000/v1'}}")
    assert left_out(beside) == []
    check_needs([beside], tmp_path)


def test_what_was_not_fetched_is_named(tmp_path: Path) -> None:
    bring(tmp_path, wanted("org/m", bring_model))
    check_needs([spec_of(model="org/m")], tmp_path)
    with pytest.raises(UserError, match="has no model org/m@v2, which this comparison needs"):
        check_needs([spec_of("model_revision=v2", model="org/m")], tmp_path)
    with pytest.raises(UserError, match="has no data set org/d"):
        check_needs([spec_of(model="org/m", data="org/d")], tmp_path)


def test_own_files_stay_where_they_are_and_missing_ones_are_told(tmp_path: Path) -> None:
    file = tmp_path / "pairs.jsonl"
    file.write_text("{}")
    spec = spec_of(data=str(file))
    assert wanted_by(spec) == []
    assert [one.what for one in left_out(spec)] == [str(file)]
    for lost in ({"data": "./none.jsonl"}, {"model": "./none"}, {"model": "config:none"}):
        with pytest.raises(UserError, match="no such file or folder"):
            left_out(spec_of(**lost))
