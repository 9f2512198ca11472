"""Secrets leave by no way: by value, by shape, and nothing else is touched."""

from __future__ import annotations

import io
import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from harness import redact as redacting
from harness.errors import StageFailed, UserError
from harness.jsonl import read_jsonl, write_jsonl
from harness.redact import HIDDEN, RedactedStream, by_value, everywhere, hidden, redact_file
from harness.stages import runner, starting
from harness.whole_file import write_atomically

KEY = 'Plain7Horse/staple+battery"quote'


@pytest.fixture
def _key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOME_SERVICE_API_KEY", KEY)


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("key sk-proj-3f9aQ7Zt81LmXw_x-y.", f"key {HIDDEN}."),
        ("Incorrect API key provided: sk-abc1***********9xyz", f"Incorrect API key provided: {HIDDEN}"),
        ("hf_AbCdEfGhIjKlMnOpQrSt!", f"{HIDDEN}!"),
        ("ghp_AbCdEfGhIjKlMnOpQrSt, AKIAABCDEFGHIJKLMNOP", f"{HIDDEN}, {HIDDEN}"),
        ("Authorization: Bearer abc123def456", f"Authorization: Bearer {HIDDEN}"),
        ("{'authorization': 'Basic dXNlcjpwdw=='}", f"{{'authorization': 'Basic {HIDDEN}'}}"),
        ("x-api-key: 0123456789abcdef", f"x-api-key: {HIDDEN}"),
        ("GET https://me:word5word@host/v1", f"GET https://{HIDDEN}@host/v1"),
        ("git clone https://abcdefgh12345@host/x", f"git clone https://{HIDDEN}@host/x"),
        ("postgresql://u:pw@db:5432/mlflow", f"postgresql://{HIDDEN}@db:5432/mlflow"),
        ("https://h/v1?model=m&key=abcdefgh1234&n=2", f"https://h/v1?model=m&key={HIDDEN}&n=2"),
        ("'password': 'correct horse'", "'password': 'correct horse'"),
        ("password=correcthorse1", f"password={HIDDEN}"),
    ],
)
def test_shapes(text: str, left: str) -> None:
    assert hidden(text) == left
    assert hidden(left) == left


@pytest.mark.parametrize(
    "text",
    [
        "export OPENAI_API_KEY=..., or give a base_url of your own server",
        "task-0123456789abcdef of stage sft@2, digest 0f1e2d3c4b5a69788796a5b4c3d2e1f0",
        "a basic understanding of bearer bonds and sk-learn pipelines",
        "https://example.org/a/b?page=2#key, mail me@example.org",
        "pad_token: <|endoftext|>, bos_token_id: 128000, max_tokens: 2048",
        "/home/user:name@host/models, sqlite:////srv/runs/mlflow.db",
    ],
)
def test_what_is_no_secret_stays(text: str) -> None:
    assert hidden(text) == text


def test_values_of_variables_and_of_addresses_in_them() -> None:
    environment = {
        "A_TOKEN": "abc12345",
        "B_API_KEY": "short12",
        "C_PASSWORD": "training",
        "D_SECRET": "12345678",
        "HTTPS_PROXY": "http://me:Word%205word@proxy:80",
        "EDITOR": "editor-of-choice",
        "MINE": "whatever-1",
    }
    assert redacting.secrets_of(environment, ()) == ("Word 5word", "abc12345")
    assert redacting.secrets_of(environment, ("MINE",)) == ("Word 5word", "whatever-1", "abc12345")


@pytest.mark.usefixtures("_key")
@pytest.mark.parametrize(
    "written",
    [
        KEY,
        KEY.upper(),
        json.dumps(KEY),
        "Plain7Horse%2Fstaple%2Bbattery%22quote",
        "Plain7Horse/staple+battery&quot;quote",
        "UGxhaW43SG9yc2Uvc3RhcGxlK2JhdHRlcnkicXVvdGU=",
        KEY[:20],
    ],
)
def test_a_value_is_found_however_it_is_written(written: str) -> None:
    left = by_value(f"say {written} now")
    assert left.startswith(f"say {HIDDEN}") or left.startswith(f'say "{HIDDEN}"')
    assert left.endswith(" now")


@pytest.mark.usefixtures("_key")
def test_json_stays_json() -> None:
    whole = {"a": KEY, "b": [f"x{KEY[:17]}", KEY * 2, 12345678.5], "é": f"\\{KEY}\n"}
    for ascii_only in (True, False):
        text = by_value(json.dumps(whole, ensure_ascii=ascii_only))
        assert KEY[:12] not in text
        assert json.loads(text)["b"][2] == 12345678.5


@dataclass(frozen=True)
class Part:
    words: tuple[str, ...]
    by_name: dict[str, list[str]]
    number: float = 1.0


@pytest.mark.usefixtures("_key")
def test_files_streams_errors_and_reports(tmp_path: Path) -> None:
    write_jsonl(tmp_path / "items.jsonl", [{"judgment": f"I was sent {KEY}", "score": 0.5}])
    assert read_jsonl(tmp_path / "items.jsonl") == [{"judgment": f"I was sent {HIDDEN}", "score": 0.5}]
    write_atomically(tmp_path / "error.json", json.dumps({"message": KEY}))
    assert json.loads((tmp_path / "error.json").read_text()) == {"message": HIDDEN}
    sink = io.StringIO()
    print("sent", KEY, file=RedactedStream(sink))
    assert sink.getvalue() == f"sent {HIDDEN}\n"
    error = UserError(f"fact {KEY}", where=f"http://a:{KEY}@host", remedy=f"export A={KEY}")
    failed = StageFailed("s", cause=KEY, log_path="log.txt", log_tail=f"Error: {KEY}")
    for text in (str(error), error.fact, error.remedy, str(error.where), str(failed), failed.log_tail):
        assert HIDDEN in text
        assert KEY[:12] not in text
    assert everywhere(Part((KEY, "b"), {"c": [KEY]})) == Part((HIDDEN, "b"), {"c": [HIDDEN]})


@pytest.mark.usefixtures("_key")
def test_a_log_is_cleaned_and_one_without_secrets_is_not_touched(tmp_path: Path) -> None:
    log, clean = tmp_path / "log.txt", tmp_path / "clean.txt"
    log.write_bytes(b"\xff\xfe raw\r\n" + KEY.encode() + b"\r50%\n" + b"Bearer abc123def456")
    clean.write_bytes(b"\xff no newline")
    before = clean.stat()
    redact_file(log)
    redact_file(clean)
    redact_file(tmp_path / "absent.txt")
    assert log.read_bytes() == f"\udcff\udcfe raw\r\n{HIDDEN}\r50%\nBearer {HIDDEN}".encode(
        "utf-8", "surrogateescape"
    )
    assert (clean.stat().st_mtime_ns, clean.stat().st_ino) == (before.st_mtime_ns, before.st_ino)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["clean.txt", "log.txt"]


@pytest.mark.usefixtures("_key")
def test_what_a_stage_writes_past_python_stands_in_no_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A library below Python, or a crash, writes straight to the log."""
    crash = tmp_path / "crash"
    crash.write_text('#!/bin/sh\necho "fatal: $SOME_SERVICE_API_KEY"\nexit 3\n')
    crash.chmod(0o755)
    monkeypatch.setattr(starting.sys, "executable", str(crash))
    folder = tmp_path / "stage"
    folder.mkdir()
    with pytest.raises(StageFailed) as caught:
        runner.run_stage(folder, name="s", listen=lambda message: None)
    assert caught.value.log_tail == f"fatal: {HIDDEN}"
    assert (folder / "log.txt").read_text() == f"fatal: {HIDDEN}\n"


@pytest.mark.usefixtures("_key")
def test_a_comparison_whose_settings_hold_a_key_is_refused(tmp_path: Path) -> None:
    from harness.pipeline.load import find_comparison, load_comparison
    from harness.pipeline.overrides import Overrides

    def load(text: str) -> Any:
        return load_comparison(find_comparison(None, model=None), Overrides(sets=[text]))

    for text, key in (
        ("description=sk-proj-3f9aQ7Zt81LmXw", "description"),
        (f"description={json.dumps(KEY)}", "description"),
        ("data.source=https://me:word5word@host/pairs.jsonl", "data.source"),
        ("model=https://hf_AbCdEfGhIjKlMnOpQrSt@host/model", "model"),
    ):
        with pytest.raises(UserError, match="holds a key or a password") as caught:
            load(text)
        assert f"{key} holds" in str(caught.value)
        assert "word5word" not in str(caught.value)
    assert load("description=a token of thanks").description == "a token of thanks"


def test_the_command_line_prints_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    from harness import cli

    for name in ("stdout", "stderr"):
        monkeypatch.setattr(sys, name, getattr(sys, name))
    named = ["report", "https://me:word5word@host", "--out", str(tmp_path)]
    monkeypatch.setattr(sys, "argv", ["harness", *named])
    with pytest.raises(SystemExit):
        cli.main()
    shown = capsys.readouterr()
    assert f"https://{HIDDEN}@host" in shown.err
    assert "word5word" not in shown.out + shown.err
