"""An export sent to a stand-in of the hub's side that writes; no hub is asked."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from harness.errors import UserError
from harness.running.pushing import check_push, push

TOKEN = "hf_" + "x" * 34


class Hub(ThreadingHTTPServer):
    """Takes repositories and commits; `refuses` answers with that status instead."""

    refuses: int | None = None

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.made: list[dict[str, Any]] = []
        self.files: dict[str, bytes] = {}


class Handler(BaseHTTPRequestHandler):
    server: Hub

    def log_message(self, *_: Any) -> None:
        pass

    def do_GET(self) -> None:
        self._say({"id": "lab/winner", "siblings": [], "sha": "0" * 40})

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        assert self.headers["Authorization"] == f"Bearer {TOKEN}"
        address = f"http://127.0.0.1:{self.server.server_port}"
        if self.server.refuses is not None:
            self._say({"error": "You don't have the rights"}, self.server.refuses)
        elif self.path == "/api/repos/create":
            self.server.made.append(json.loads(body))
            self._say({"url": f"{address}/lab/winner", "name": "lab/winner", "id": "1"})
        elif self.path == "/api/validate-yaml":
            self._say({"errors": [], "warnings": []})
        elif "/preupload/" in self.path:
            asked = json.loads(body)["files"]
            self._say(
                {
                    "files": [
                        {"path": f["path"], "uploadMode": "regular", "shouldIgnore": False} for f in asked
                    ]
                }
            )
        else:
            for line in body.splitlines():
                entry = json.loads(line)
                if entry["key"] == "file":
                    value = entry["value"]
                    self.server.files[value["path"]] = base64.b64decode(value["content"])
            self._say(
                {
                    "success": True,
                    "commitUrl": f"{address}/lab/winner/commit/{'1' * 40}",
                    "commitOid": "1" * 40,
                }
            )

    def _say(self, value: Any, status: int = 200) -> None:
        body = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    server = Hub()
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    address = f"http://127.0.0.1:{server.server_port}"
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", address)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture
def exported(tmp_path: Path) -> Path:
    folder = tmp_path / "winner"
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    (folder / "README.md").write_text("---\ntags: [orpo]\n---\n# A card\n")
    return folder


def test_every_file_is_sent_to_a_private_repository(hub: Hub, exported: Path) -> None:
    said = push(exported, "lab/winner", public=False)
    assert said.endswith(f"/lab/winner/commit/{'1' * 40}")
    assert {name: content.decode() for name, content in hub.files.items()} == {
        file.name: file.read_text() for file in exported.iterdir()
    }
    (asked,) = hub.made
    assert (asked["name"], asked["organization"]) == ("winner", "lab")
    assert asked.get("visibility") == "private" or asked.get("private") is True


def test_what_the_hub_refuses_is_one_message_without_the_token(hub: Hub, exported: Path) -> None:
    hub.refuses = 403
    with pytest.raises(UserError, match="the hub did not take it") as raised:
        push(exported, "lab/winner", public=True)
    assert TOKEN not in str(raised.value)
    assert (exported / "config.json").is_file()


def test_a_hub_that_cannot_be_reached_is_one_message(
    hub: Hub, exported: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.shutdown()
    hub.server_close()
    with pytest.raises(UserError, match=r"the hub did not take it.*hf upload"):
        push(exported, "lab/winner", public=False)


def test_names_and_tokens_are_looked_at_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    check_push("lab/winner")
    for name in ("lab/winner/more", "../x", "", "lab winner"):
        with pytest.raises(UserError, match="no repository's name"):
            check_push(name)
    monkeypatch.setattr("huggingface_hub.get_token", lambda: None)
    with pytest.raises(UserError, match="no token"):
        check_push("lab/winner")
