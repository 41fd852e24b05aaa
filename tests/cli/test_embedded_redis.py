"""Does the embedded Redis keep its data, survive a kill, and leave nothing running?"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
import redis

from tocsin.cli.embedded.redis import EmbeddedRedis
from tocsin.domain.errors import BadSetting

pytestmark = pytest.mark.e2e


@pytest.fixture
def server() -> Iterator[EmbeddedRedis]:
    server = EmbeddedRedis()
    yield server
    server.stop()


def push(url: str, word: str) -> None:
    with redis.from_url(url) as client:
        client.rpush("queue", word)


def queue(url: str) -> list[bytes]:
    with redis.from_url(url) as client:
        return [bytes(word) for word in client.lrange("queue", 0, -1)]


def test_the_second_start_finds_the_queue_of_the_first(tmp_path: Path, server: EmbeddedRedis) -> None:
    push(server.start(tmp_path / "redis"), "wake")
    began = time.monotonic()
    server.stop()
    assert time.monotonic() - began < 1.5
    assert queue(server.start(tmp_path / "redis")) == [b"wake"]


def test_it_comes_back_at_the_same_address_after_a_kill(tmp_path: Path, server: EmbeddedRedis) -> None:
    url = server.start(tmp_path / "redis")
    push(url, "wake")
    time.sleep(1.1)  # appendfsync everysec
    assert server.process is not None
    os.kill(server.process.pid, signal.SIGKILL)
    server.process.wait()
    server.launch()
    assert queue(url) == [b"wake"]


def test_a_log_that_cannot_be_read_is_set_aside(tmp_path: Path, server: EmbeddedRedis) -> None:
    push(server.start(tmp_path / "redis"), "wake")
    server.stop()
    (tmp_path / "redis" / "appendonly.aof").write_text("this was never a log\n" * 9)
    assert queue(server.start(tmp_path / "redis")) == []
    assert (tmp_path / "redis" / "appendonly.aof.unreadable").exists()


def test_an_orphan_that_still_runs_is_stopped_first(tmp_path: Path, server: EmbeddedRedis) -> None:
    push(server.start(tmp_path / "redis"), "wake")
    orphan, sockets = server.process, server._held.sockets
    assert orphan is not None
    assert sockets is not None
    server._held.process, server._held.sockets = None, None
    server.stop()
    assert queue(server.start(tmp_path / "redis")) == [b"wake"]
    assert orphan.wait(5) is not None
    assert not sockets.exists()


def test_no_port_is_open_and_a_second_one_is_refused(tmp_path: Path, server: EmbeddedRedis) -> None:
    server.start(tmp_path / "redis")
    assert server.process is not None
    assert psutil.Process(server.process.pid).net_connections("inet") == []
    with pytest.raises(BadSetting, match="in use by another tocsin"):
        EmbeddedRedis().start(tmp_path / "redis")
