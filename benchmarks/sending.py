"""Posting: many bodies over many kept connections, as fast as they are taken or at a steady rate; or wrk."""

from __future__ import annotations

import asyncio
import re
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.company import SECRET

CONNECTIONS = 16
GIVE_UP_S = 120.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Posted:
    """One request: when it was due (so that a slow server cannot hide its queue), how long the answer took."""

    at: float
    """Wall clock, seconds."""
    seconds: float
    status: int
    answer: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Rate:
    """What a load generator saw."""

    requests: int
    per_second: float
    p50_ms: float
    p99_ms: float
    refused: int


def post_all(
    port: int,
    path: str,
    bodies: Sequence[bytes],
    *,
    connections: int = CONNECTIONS,
    per_second: float | None = None,
    secret: str = SECRET,
) -> list[Posted]:
    """Post every body, in order; `per_second` None: as fast as they are taken. One entry a body, in their order."""
    requests = [_request(path, body, headers(secret)) for body in bodies]
    return asyncio.run(asyncio.wait_for(_post_all(port, requests, connections, per_second), GIVE_UP_S))


async def _post_all(port: int, requests: Sequence[bytes], connections: int, per_second: float | None) -> list[Posted]:
    posted: dict[int, Posted] = {}
    numbers = iter(range(len(requests)))
    began, clock = time.time(), time.monotonic()

    async def sender() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for n in numbers:
            if writer.is_closing():
                reader, writer = await asyncio.open_connection("127.0.0.1", port)
            if per_second:
                await asyncio.sleep(max(0.0, clock + n / per_second - time.monotonic()))
            due = n / per_second if per_second else time.monotonic() - clock
            writer.write(requests[n])
            status, kept, answer = await _answer(reader)
            if not kept:
                writer.close()
            posted[n] = Posted(at=began + due, seconds=time.monotonic() - clock - due, status=status, answer=answer)
        writer.close()

    await asyncio.gather(*(sender() for _ in range(connections)))
    return [posted[n] for n in range(len(requests))]


def headers(secret: str) -> dict[str, str]:
    """What every webhook carries; without a secret no credential."""
    credential = {"Authorization": f"Bearer {secret}"} if secret else {}
    return {"Content-Type": "application/json", "User-Agent": "Alertmanager/0.27", **credential}


def _request(path: str, body: bytes, sent: Mapping[str, str]) -> bytes:
    lines = "".join(f"{name}: {value}\r\n" for name, value in sent.items())
    head = f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n{lines}Content-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


async def _answer(reader: asyncio.StreamReader) -> tuple[int, bool, bytes]:
    """Status, whether the server keeps the connection, body."""
    head = (await reader.readuntil(b"\r\n\r\n")).lower()
    found = re.search(rb"content-length: *(\d+)", head)
    body = await reader.readexactly(int(found[1])) if found else b""
    return int(head[9:12]), b"connection: close" not in head, body


def rate_of(posted: Sequence[Posted]) -> Rate:
    """The figures of a run of `post_all`."""
    spans = sorted(one.seconds for one in posted)
    first, last = min(one.at for one in posted), max(one.at + one.seconds for one in posted)
    return Rate(
        requests=len(posted),
        per_second=len(posted) / (last - first),
        p50_ms=spans[len(spans) // 2] * 1000,
        p99_ms=spans[int(len(spans) * 0.99)] * 1000,
        refused=sum(one.status >= 300 for one in posted),
    )


def wrk(program: str, port: int, path: str, body: bytes, *, seconds: int, place: Path) -> Rate:
    """wrk with one body over CONNECTIONS kept connections."""
    script, payload = place / "post.lua", place / "body.json"
    payload.write_bytes(body)
    script.write_text(_lua(payload, headers(SECRET)))
    said = subprocess.run(
        [program, "-t1", f"-c{CONNECTIONS}", f"-d{seconds}s", "--latency", "-s", script, f"http://127.0.0.1:{port}{path}"],
        capture_output=True, text=True, check=True, timeout=seconds + 30,
    ).stdout  # fmt: skip
    numbers = dict(re.findall(r"^FIGURE (\w+) ([\d.]+)$", said, re.MULTILINE))
    return Rate(
        requests=int(float(numbers["requests"])),
        per_second=float(numbers["requests"]) / float(numbers["seconds"]),
        p50_ms=float(numbers["p50"]),
        p99_ms=float(numbers["p99"]),
        refused=int(float(numbers["refused"])),
    )


def _lua(payload: Path, sent: Mapping[str, str]) -> str:
    lines = "\n".join(f'wrk.headers["{name}"] = "{value}"' for name, value in sent.items())
    return f"""
wrk.method = "POST"
{lines}
local file = io.open("{payload}", "rb")
wrk.body = file:read("*a")
function done(summary, latency, requests)
    print("FIGURE requests " .. summary.requests)
    print("FIGURE seconds " .. summary.duration / 1000000)
    print("FIGURE p50 " .. latency:percentile(50) / 1000)
    print("FIGURE p99 " .. latency:percentile(99) / 1000)
    local e = summary.errors
    print("FIGURE refused " .. (e.connect + e.read + e.write + e.status + e.timeout))
end
"""
