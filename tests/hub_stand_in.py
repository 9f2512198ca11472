"""A hub on loopback: its interface as `huggingface_hub` and `datasets` ask it, over local folders."""

from __future__ import annotations

import hashlib
import json
import re
import threading
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

API = re.compile(r"/api/(?P<kind>models|datasets)/(?P<name>[^/]+/[^/]+)(?:/(?P<ask>.*))?")
FILE = re.compile(r"/(?P<kind>datasets/)?(?P<name>[^/]+/[^/]+)/resolve/(?P<revision>[^/]+)/(?P<path>.+)")


class StandIn:
    """Repositories by (`models` or `datasets`, name), each a folder; `gated` names those it gives to nobody.

    A repository has one commit, made of its files. `asked` are the paths of files whose bytes it gave.
    """

    def __init__(self, repositories: Mapping[tuple[str, str], Path], gated: tuple[str, ...] = ()) -> None:
        self.repositories, self.gated = dict(repositories), gated
        self.asked: list[str] = []
        hub = self

        class Handler(_Handler):
            stand_in = hub

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> StandIn:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def commit(self, kind: str, name: str) -> str:
        """40 hex digits over the repository's files."""
        folder = self.repositories[kind, name]
        total = hashlib.sha1(name.encode())
        for path in files_of(folder):
            total.update(path.encode() + (folder / path).read_bytes())
        return total.hexdigest()


def files_of(folder: Path) -> list[str]:
    return sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())


def blob_id(path: Path) -> str:
    return hashlib.sha1(path.read_bytes()).hexdigest()


class _Handler(BaseHTTPRequestHandler):
    stand_in: StandIn
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: Any) -> None:
        pass

    def do_HEAD(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        self._answer()

    def do_POST(self) -> None:
        self._body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self._answer()

    def _answer(self) -> None:
        path = unquote(urlsplit(self.path).path)
        if match := API.fullmatch(path):
            self._api(match["kind"], match["name"], match["ask"] or "")
        elif match := FILE.fullmatch(path):
            self._file("datasets" if match["kind"] else "models", match["name"], match["path"])
        else:
            self._refuse(404, "EntryNotFound")

    def _repository(self, kind: str, name: str) -> Path | None:
        folder = self.stand_in.repositories.get((kind, name))
        if folder is None:
            self._refuse(404, "RepoNotFound")
        return folder

    def _api(self, kind: str, name: str, ask: str) -> None:
        folder = self._repository(kind, name)
        if folder is None:
            return
        head, _, rest = ask.partition("/")
        revision, _, below = rest.partition("/")
        commit = self.stand_in.commit(kind, name)
        if revision not in ("", "main", commit):
            self._refuse(404, "RevisionNotFound")
        elif head == "tree":
            self._json([e for p in files_of(folder) if (e := _entry(folder, p))["path"].startswith(below)])
        elif head == "paths-info":
            wanted = json.loads(self._body)["paths"] if self._body.startswith(b"{") else _form(self._body)
            self._json([_entry(folder, p) for p in wanted if (folder / p).exists()])
        else:
            siblings = [{"rfilename": path} for path in files_of(folder)]
            gated = "manual" if name in self.stand_in.gated else False
            self._json({"id": name, "sha": commit, "siblings": siblings, "private": False, "gated": gated})

    def _file(self, kind: str, name: str, path: str) -> None:
        folder = self._repository(kind, name)
        if folder is None:
            return
        file = folder / path
        if name in self.stand_in.gated:
            self._refuse(403, "GatedRepo")
        elif not file.is_file():
            self._refuse(404, "EntryNotFound", {"X-Repo-Commit": self.stand_in.commit(kind, name)})
        else:
            headers = {"X-Repo-Commit": self.stand_in.commit(kind, name), "ETag": f'"{blob_id(file)}"'}
            if self.command == "GET":
                self.stand_in.asked.append(f"{name}/{path}")
            self._send(200, file.read_bytes(), headers)

    def _json(self, value: Any) -> None:
        self._send(200, json.dumps(value).encode(), {"Content-Type": "application/json"})

    def _refuse(self, status: int, code: str, headers: Mapping[str, str] | None = None) -> None:
        said = {"X-Error-Code": code, "X-Error-Message": code, **(headers or {})}
        self._send(status, json.dumps({"error": code}).encode(), said)

    def _send(self, status: int, body: bytes, headers: Mapping[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)


def _entry(folder: Path, path: str) -> dict[str, Any]:
    file = folder / path
    if file.is_dir():
        return {"type": "directory", "path": path, "oid": "0" * 40, "size": 0}
    return {"type": "file", "path": path, "oid": blob_id(file), "size": file.stat().st_size}


def _form(body: bytes) -> list[str]:
    from urllib.parse import parse_qs

    return parse_qs(body.decode()).get("paths", [])
