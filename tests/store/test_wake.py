"""Does a wake-up reach Celery's queue once, over every kind of address, and cost only time when Redis is away?"""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from pathlib import Path

import orjson
import pytest
import redis

from tocsin.cli.embedded.redis import EmbeddedRedis
from tocsin.store.wake import Line, Waker

pytestmark = pytest.mark.e2e


@pytest.fixture
def server() -> Iterator[EmbeddedRedis]:
    server = EmbeddedRedis()
    yield server
    server.stop()


@pytest.fixture
def url(server: EmbeddedRedis, tmp_path: Path) -> str:
    return server.start(tmp_path / "redis")


def test_many_wake_ups_are_one_message_until_a_worker_takes_it(url: str) -> None:
    waker = Waker(url)
    assert all(waker.wake("tocsin.work", "work") for _ in range(5))
    assert waker.waiting("work") == 1
    assert not waker.heard("work")
    waker.took_up("work")
    waker.awake("tocsin.work")
    assert waker.heard("work")
    waker.wake("tocsin.work", "work")
    with redis.from_url(url) as client:
        first, second = (orjson.loads(one) for one in client.lrange("work", 0, -1))
    assert first["headers"]["task"] == second["headers"]["task"] == "tocsin.work"
    assert waker.failures == 0


def test_a_restarted_redis_is_spoken_to_again_at_once(url: str, server: EmbeddedRedis) -> None:
    waker = Waker(url)
    waker.wake("tocsin.work", "work")
    assert server.process is not None
    server.process.kill()
    server.process.wait()
    server.launch()
    assert waker.wake("tocsin.other", "other")
    assert waker.waiting("other") == 1
    assert waker.failures == 0


def test_a_password_and_a_database_in_the_address_are_used(url: str) -> None:
    with redis.from_url(url) as client:
        client.config_set("requirepass", "open sesame")
    refused = Line(url)
    with pytest.raises(OSError, match="NOAUTH"):
        refused.ask("LLEN", "work")
    own = f"{url.replace('://', '://:open%20sesame@', 1)}{'&' if '?' in url else '?'}db=3"
    assert Line(own).ask("LPUSH", "work", "one") == 1
    with redis.from_url(url, password="open sesame", db=3) as client:
        assert client.llen("work") == 1


def test_a_silent_server_costs_a_quarter_of_a_second_and_is_counted() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        waker = Waker(f"redis://127.0.0.1:{silent.getsockname()[1]}/0")
        began = time.monotonic()
        assert not waker.wake("tocsin.work", "work")
        assert time.monotonic() - began < 5
    assert waker.waiting("work") == 0
    assert waker.failures == 2
