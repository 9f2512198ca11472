"""The page's server: on 127.0.0.1 alone, for whoever knows the token in its address, and for no other site.

Nothing that it sends names an arm. A request without the token gets 403 whatever it asks for; so does one
whose Host or Origin is another, since a page elsewhere may have its name resolve to 127.0.0.1.
"""

from __future__ import annotations

import hmac
import json
import secrets
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from harness.arena.session import LEFT, Session, Shown, Stale
from harness.errors import UserError
from harness.full_disk import full_disk, says_full

HOST = "127.0.0.1"
MOST_BYTES = 1_000
"""Of a request's body, which is a choice and the key of its pair."""
SLOWEST_SECONDS = 10
PAGES = {"": ("html", "text/html"), "page.css": ("css", "text/css"), "page.js": ("js", "text/javascript")}
HEADERS: Mapping[str, str] = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-store",
}


class Arena:
    """A sitting on a port of this machine; `finished` is set when the page asks for the end."""

    def __init__(self, session: Session, port: int = 0) -> None:
        """Take the port, 0 for any that is free; raises UserError where it cannot be had."""
        self.session, self.finished = session, threading.Event()
        self.token = secrets.token_urlsafe(24)
        self._pages = {name: _page(ending) for name, (ending, _) in PAGES.items()}
        try:
            self._server = _Server((HOST, port), self._handler())
        except OSError as error:
            raise UserError(
                f"port {port} cannot be had ({error.strerror})",
                where="--port",
                remedy="give another, or 0 for any that is free",
            ) from None

    @property
    def port(self) -> int:
        """The port that it has."""
        return int(self._server.server_port)

    @property
    def url(self) -> str:
        """The page's address, which is the key to it."""
        return f"http://{HOST}:{self.port}/{self.token}/"

    @contextmanager
    def running(self) -> Iterator[Arena]:
        """Serve in threads until the body ends."""
        thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        try:
            yield self
        finally:
            self._server.shutdown()
            self._server.server_close()
            thread.join()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        arena = self

        class Handler(_Handler):
            def do_GET(self) -> None:
                self.answer(arena)

            def do_POST(self) -> None:
                self.answer(arena)

        return Handler

    def page(self, path: str) -> tuple[bytes, str] | None:
        """One of the package's own files with its type."""
        return (self._pages[path], PAGES[path][1]) if path in self._pages else None

    def told(self, action: str, asked: Mapping[str, Any]) -> dict[str, Any]:
        """What is shown after an action; raises KeyError for an unknown one, Stale for an old pair."""
        if self.finished.is_set():
            raise Stale
        actions: dict[str, Callable[[], Shown]] = {
            "vote": lambda: self.session.vote(_text(asked, "key"), _choice(asked)),
            "undo": self.session.undo,
            "finish": self._finish,
        }
        return {**asdict(actions[action]()), "ended": self.finished.is_set()}

    def state(self) -> dict[str, Any]:
        """What is shown now."""
        return {**asdict(self.session.shown()), "ended": self.finished.is_set()}

    def _finish(self) -> Shown:
        self.finished.set()
        return self.session.shown()


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A browser that hangs up is no news."""


class _Handler(BaseHTTPRequestHandler):
    server_version, sys_version, timeout = "arena", "", SLOWEST_SECONDS

    def log_message(self, *args: object) -> None:
        """The address holds the token, and belongs into no log."""

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """What is no request of ours is refused as one without the token is."""
        self.close_connection = True
        self._send(403, b"forbidden", "text/plain")

    def answer(self, arena: Arena) -> None:
        """Who may ask, then what was asked."""
        token, slash, path = self.path.removeprefix("/").partition("/")
        known = hmac.compare_digest(token.encode("utf-8", "replace"), arena.token.encode())
        hosts = {f"{name}:{arena.port}" for name in (HOST, "localhost")}
        origin = self.headers.get("Origin")
        ours = self.headers.get("Host") in hosts and origin in (None, *(f"http://{host}" for host in hosts))
        if not (known and slash and ours):
            self._send(403, b"forbidden", "text/plain")
        elif self.command == "GET":
            self._get(arena, path)
        else:
            self._post(arena, path)

    def _get(self, arena: Arena, path: str) -> None:
        page = arena.page(path)
        if page is not None:
            self._send(200, *page)
        elif path == "state":
            self._send_json(200, arena.state())
        else:
            self._send(404, b"not found", "text/plain")

    def _post(self, arena: Arena, path: str) -> None:
        try:
            self._send_json(200, arena.told(path, self._body()))
        except Stale:
            self._send_json(409, arena.state())
        except KeyError:
            self._send(404, b"not found", "text/plain")
        except _Refused as refused:
            self._send(refused.status, refused.why.encode(), "text/plain")
        except OSError as error:
            why = full_disk(Path(error.filename or ".")) if says_full(error) else error.strerror
            self._send_json(507, {"error": f"The vote was not saved: {why}"})

    def _body(self) -> dict[str, Any]:
        """A JSON object of a length that was said beforehand."""
        if self.headers.get("Content-Type", "").partition(";")[0].strip().lower() != "application/json":
            raise _Refused(415, "send application/json")
        length = self.headers.get("Content-Length", "")
        if not length.isdecimal():
            raise _Refused(411, "say how long it is")
        if len(length) > 9 or int(length) > MOST_BYTES:
            raise _Refused(413, "too long")
        try:
            sent = self.rfile.read(int(length))
        except TimeoutError:
            self.close_connection = True
            raise _Refused(408, "too slow") from None
        try:
            asked = json.loads(sent)
        except (ValueError, RecursionError):
            raise _Refused(400, "no JSON") from None
        if not isinstance(asked, dict):
            raise _Refused(400, "no JSON object")
        return asked

    def _send_json(self, status: int, data: Mapping[str, Any]) -> None:
        self._send(status, json.dumps(data).encode("ascii"), "application/json")

    def _send(self, status: int, body: bytes, kind: str) -> None:
        self.send_response(status)
        for name, value in HEADERS.items():
            self.send_header(name, value)
        self.send_header("Content-Type", f"{kind}; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


class _Refused(Exception):
    """A request that cannot be read."""

    def __init__(self, status: int, why: str) -> None:
        self.status, self.why = status, why
        super().__init__(why)


def _text(asked: Mapping[str, Any], name: str) -> str:
    value = asked.get(name)
    if not isinstance(value, str):
        raise _Refused(400, f"{name} is no text")
    return value


def _choice(asked: Mapping[str, Any]) -> Any:
    choice = _text(asked, "choice")
    if choice not in LEFT:
        raise _Refused(400, "no such choice")
    return choice


def _page(ending: str) -> bytes:
    return (Path(__file__).parent / f"_page.{ending}").read_bytes()
