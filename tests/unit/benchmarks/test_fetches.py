"""What benchmarks fetch by their own ways: which names, and where it is put."""

from __future__ import annotations

import hashlib
import io
import os
import sys
import threading
import urllib.request
import zipfile
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from harness.benchmarks import _alpaca_prompts, _lm_eval_run, alpaca_eval, lm_eval, mt_bench
from harness.errors import UserError
from harness.judges import alpaca_annotator, openai
from harness.pipeline.named import AsksServer, Fetches


def test_each_says_what_it_wants() -> None:
    assert all(isinstance(module, Fetches) for module in (alpaca_eval, lm_eval, mt_bench))
    tasks: list[Any] = ["ifeval", {"task": "gsm8k", "num_fewshot": 5}, "embedded_choice", "ifeval"]
    assert lm_eval.wants(lm_eval.Config(tasks=tasks)) == ["ifeval", "gsm8k"]
    assert lm_eval.wants(lm_eval.Config()) == []
    assert alpaca_eval.wants(alpaca_eval.Config()) == []
    assert alpaca_eval.wants(alpaca_eval.Config(prompt_set="alpaca_eval_2")) == ["alpaca_eval_2"]
    assert mt_bench.wants(mt_bench.Config()) == []
    assert mt_bench.wants(mt_bench.Config(questions="org/questions")) == ["org/questions"]


def test_alpaca_eval_brings_what_its_length_controlled_rate_reads(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[Any, ...]] = []

    def download(*where: Any, **kind: Any) -> str:
        asked.append((*where, kind["repo_type"]))
        return "file"

    monkeypatch.setitem(sys.modules, "huggingface_hub", SimpleNamespace(hf_hub_download=download))
    alpaca_eval.fetch(alpaca_eval.Config(prompt_set="alpaca_eval_2"), "alpaca_eval_2")
    repository = _alpaca_prompts.REPOSITORY
    assert asked == [
        (repository, "alpaca_eval_gpt4_baseline.json", "dataset"),
        (repository, "df_gamed.csv", "dataset"),
    ]


def test_an_unknown_task_is_no_task_to_fetch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lm_eval, "_manager", lambda config: SimpleNamespace(all_tasks=["ifeval"]))
    with pytest.raises(UserError, match='unknown lm-eval task "ifevl"; did you mean "ifeval"'):
        lm_eval.fetch(lm_eval.Config(), "ifevl")


@pytest.fixture
def index_of_nltk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A list of packages on loopback, as nltk's own is, with punkt_tab in it."""
    import nltk.downloader

    served = tmp_path / "served"
    served.mkdir()
    whole = io.BytesIO()
    with zipfile.ZipFile(whole, "w") as archive:
        archive.writestr("punkt_tab/english/abbrev_types.txt", "dr\n")
    (served / "punkt_tab.zip").write_bytes(whole.getvalue())
    size, md5 = len(whole.getvalue()), hashlib.md5(whole.getvalue()).hexdigest()
    handler = partial(SimpleHTTPRequestHandler, directory=str(served))
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    url = f"http://127.0.0.1:{server.server_port}"
    (served / "index.xml").write_text(
        f'<nltk_data><packages><package id="punkt_tab" name="Punkt" subdir="tokenizers" size="{size}" '
        f'unzipped_size="3" checksum="{md5}" unzip="1" url="{url}/punkt_tab.zip"/></packages>'
        "<collections/></nltk_data>"
    )
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setattr(nltk.downloader._downloader, "_url", f"{url}/index.xml")
    monkeypatch.setattr(nltk.downloader._downloader, "_index", None)
    # nltk refuses addresses of this machine.
    monkeypatch.setattr(nltk.downloader, "urlopen", urllib.request.urlopen)
    monkeypatch.setenv("NLTK_DATA", str(tmp_path / "nltk_data"))
    yield tmp_path / "nltk_data"
    server.shutdown()
    server.server_close()


def test_nltks_data_is_put_where_it_is_asked_for(
    index_of_nltk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where it lies elsewhere on this machine, since a folder without it would not be whole."""
    checked: list[str] = []
    monkeypatch.setattr(_lm_eval_run, "check_task", lambda task, manager: checked.append(task))
    _lm_eval_run.fetch_task("ifeval", None)
    assert (index_of_nltk / "tokenizers/punkt_tab/english/abbrev_types.txt").read_text() == "dr\n"
    _lm_eval_run.fetch_task("gsm8k", None)
    assert checked == ["ifeval", "gsm8k"]


def test_nltks_data_that_cannot_be_had_is_one_message(
    index_of_nltk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import nltk.downloader

    monkeypatch.setattr(nltk.downloader._downloader, "_url", "http://127.0.0.1:1/index.xml")
    with pytest.raises(UserError, match="needs nltk's punkt_tab, which is not here and could not be fetched"):
        _lm_eval_run.fetch_task("ifeval", None)


@pytest.mark.parametrize("module", [openai, alpaca_annotator])
def test_a_judge_says_whom_it_asks(module: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    assert isinstance(module, AsksServer)
    assert module.server(module.Config(model="m")) == "OpenAI"
    far = module.Config(model="m", base_url="http://judges.example:8000/v1")
    assert module.server(far) == "http://judges.example:8000/v1"
    assert module.server(module.Config(model="m", base_url="http://localhost:8000/v1")) is None
    monkeypatch.setitem(os.environ, "OPENAI_BASE_URL", "http://127.0.0.1:8000/v1")
    assert module.server(module.Config(model="m")) is None
