"""A loopback server that answers as told: the vendor at its worst."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import orjson


@dataclass(slots=True)
class Asked:
    method: str
    path: str
    headers: dict[str, str]
    body: bytes


@dataclass(slots=True)
class Canned:
    """What the server answers, and what it was asked. `answers` go first, one each; then `status` and so on."""

    url: str = ""
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b"{}"
    content_type: str = "application/json"
    echo: bool = False
    """The body quotes the whole request, as careless gateways do."""
    hang_s: float = 0
    reset: bool = False
    """Close without an answer."""
    drip_s: float = 0
    """One byte of the body each so many seconds."""
    answers: list[Callable[[Canned], None]] = field(default_factory=list)
    asked: list[Asked] = field(default_factory=list)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    script: Canned

    def answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        script = self.script
        script.asked.append(Asked(self.command, self.path, dict(self.headers.items()), body))
        if script.answers:
            script.answers.pop(0)(script)
        time.sleep(script.hang_s)
        if script.reset or script.hang_s:
            self.close_connection = True
            return
        quoted = {"headers": str(self.headers), "body": body.decode(), "at": self.path}
        self.respond(orjson.dumps({"error": quoted}) if script.echo else script.body)

    def respond(self, content: bytes) -> None:
        self.send_response(self.script.status)
        self.send_header("Content-Type", self.script.content_type)
        for name, value in {"Content-Length": str(len(content)), **self.script.headers}.items():
            self.send_header(name, value)
        self.end_headers()
        piece = 1 if self.script.drip_s else len(content)
        with suppress(OSError):  # the caller may have given up
            for start in range(0, len(content), piece or 1):
                self.wfile.write(content[start : start + piece])
                time.sleep(self.script.drip_s)

    do_GET = do_POST = do_PUT = do_PATCH = answer  # noqa: N815  the names http.server calls

    def log_message(self, format: str, *args: object) -> None:
        """Quiet."""


@contextmanager
def canned(**told: object) -> Iterator[Canned]:
    """Run one until the block ends."""
    script = Canned(**told)  # type: ignore[arg-type]
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"script": script}))
    server.daemon_threads = True
    script.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield script
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def refusing_url() -> str:
    """An address at which nobody listens."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{taken.getsockname()[1]}"
