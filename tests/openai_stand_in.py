"""A server that speaks as much of OpenAI's protocol as is asked for, and does what a test wants of it.

Run as a program with `--port N`. It answers with the last message's words in reverse; a first word of the
message decides what goes wrong: `refuse`, `cut`, `error`, `odd`, `silent` (no text), `long` (cut by length),
`differ` (streamed and at once are two texts). Its model is called `model`.
"""

from __future__ import annotations

import json
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class Handler(BaseHTTPRequestHandler):
    """One request a connection."""

    def log_message(self, *_: Any) -> None:
        """Nothing."""

    def do_GET(self) -> None:
        self._send(200 if self.path == "/health" else 404, b"{}")

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        content = asked["messages"][-1]["content"]
        how = content.split()[0]
        if how == "refuse":
            return self._send(500, b"{}")
        if how == "odd":
            return self._send(200, b'{"choices": []}')
        text = "" if how == "silent" else " ".join(reversed(content.split()))
        stream = bool(asked.get("stream"))
        if how == "differ" and stream:
            text += " !"
        finish = "length" if how == "long" else "stop"
        usage = {"completion_tokens": len(text.split()) + 1}
        if not stream:
            choice = {"message": {"content": text}, "finish_reason": finish}
            return self._send(200, json.dumps({"choices": [choice], "usage": usage}).encode())
        chunks: list[dict[str, Any]] = [{"choices": [{"delta": {"role": "assistant"}}]}]
        chunks += [{"choices": [{"delta": {"content": f"{word} "}}]} for word in text.split()]
        if chunks[1:]:
            chunks[-1]["choices"][0]["delta"]["content"] = text.split()[-1]
        if how == "error":
            chunks.append({"error": "out of memory"})
        elif how != "cut":
            chunks.append({"choices": [{"delta": {}, "finish_reason": finish}], "usage": usage})
        lines = "".join(f"data: {json.dumps(chunk)}\n\n" for chunk in chunks)
        return self._send(200, (lines + "data: [DONE]\n\n").encode())

    def _send(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


if __name__ == "__main__":
    print("stand-in begins", flush=True)
    if "--die" in sys.argv:
        sys.exit("no such weights")
    if "--hang" in sys.argv:
        import time

        time.sleep(1000)
    ThreadingHTTPServer(("127.0.0.1", int(sys.argv[sys.argv.index("--port") + 1])), Handler).serve_forever()
