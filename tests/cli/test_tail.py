"""Does tail say what arrived and what was decided, in words, from the database and through the API?"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, make_server

import orjson
import pytest

from tests.cli.operating import Operator
from tests.pipeline.world import World
from tocsin.cli.tail import DatabaseTrail, _lines
from tocsin.store.reading import audit_after


class Silent(WSGIRequestHandler):
    """A server that logs nothing."""

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing."""


class Api:
    """The audit trail over HTTP, as /api/v1/audit answers it."""

    def __init__(self, world: World) -> None:
        self._world = world

    def __call__(self, environ: dict[str, Any], start_response: Any) -> list[bytes]:
        if environ.get("HTTP_AUTHORIZATION") != "Bearer token":
            start_response("401 UNAUTHORIZED", [("Content-Type", "application/json")])
            return [b"{}"]
        query = dict(pair.split("=") for pair in environ["QUERY_STRING"].split("&"))
        found = audit_after(self._world.app.database, int(query["after"]), limit=int(query["limit"]))
        start_response("200 OK", [("Content-Type", "application/json")])
        return [orjson.dumps({"audit": found}, default=str)]


@pytest.fixture
def api(world: World) -> Iterator[str]:
    """The address of a world's API."""
    with make_server("127.0.0.1", 0, Api(world), handler_class=Silent) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def an_outage(world: World) -> None:
    world.deploy("checkout", minutes=1)
    world.alert("HighLatency", minutes=6, service="checkout")
    world.settle()
    world.alert("HighLatency", minutes=12, resolved=True, service="checkout")
    world.settle()


def test_an_outage_is_told_line_by_line(world: World, operator: Operator) -> None:
    an_outage(world)
    told = [line["words"] for line in operator.lines("tail", "--no-follow")]
    assert told[:3] == [
        "gh: 1 change",
        "am: 1 alert",
        "HighLatency on service:checkout opens TOC-1001: new: nothing open has to do with service:checkout",
    ]
    assert any(words.startswith("TOC-1001: page for platform (rule critical-pages matches;") for words in told)
    assert "TOC-1001 open at out for TOC-1001" in told
    assert "HighLatency on service:checkout resolved, TOC-1001" in told
    assert any(words.startswith("TOC-1001 is over") for words in told)
    assert told[-1] == "TOC-1001 resolved at out for TOC-1001"


def test_people_read_the_same_with_the_time(world: World, operator: Operator) -> None:
    an_outage(world)
    said = operator.runs("tail", "--no-follow").stdout.splitlines()
    assert f"{world.at(6):%H:%M:%S} am: 1 alert" in said


def test_since_leaves_older_lines_out(world: World, operator: Operator) -> None:
    an_outage(world)
    told = operator.lines("tail", "--no-follow", "--since", world.at(11).isoformat())
    assert min(datetime.fromisoformat(line["at"]) for line in told) >= world.at(11)
    assert operator.lines("tail", "--no-follow", "--since", (datetime.now(UTC) + timedelta(hours=1)).isoformat()) == []


def test_following_goes_on_with_what_comes(world: World) -> None:
    an_outage(world)
    lines = _lines(DatabaseTrail(world.app.database), None, follow=True)
    seen = len(world.sql("SELECT FROM audit"))
    for _ in range(seen):
        next(lines)
    world.alert("DiskFull", minutes=20, service="search")
    world.settle()
    assert next(lines)["because"]["hook"] == "am"


def test_the_api_of_a_running_installation_tells_the_same(world: World, operator: Operator, api: str) -> None:
    an_outage(world)
    words = [line["words"] for line in operator.lines("tail", "--no-follow")]
    assert [line["words"] for line in operator.lines("tail", "--no-follow", "--url", api, "--token", "token")] == words


def test_a_wrong_token_says_where_the_right_one_goes(operator: Operator, api: str) -> None:
    said = operator.runs("tail", "--no-follow", "--url", api, "--token", "wrong", status=2)
    assert "refuses the token; give it with --token or TOCSIN_API_TOKEN" in said.stderr


def test_an_address_that_does_not_answer_is_named(operator: Operator) -> None:
    said = operator.runs("tail", "--no-follow", "--url", "http://127.0.0.1:9", "--token", "t", status=2)
    assert "http://127.0.0.1:9/api/v1/audit does not answer" in said.stderr
