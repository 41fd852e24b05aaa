"""The console shows how destinations stand, what was given up, and what shadows would have sent beside what stands."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from werkzeug.test import Client

from tests.pipeline.world import MAPPINGS, World
from tocsin.receive import Receiver
from tocsin.store import destinations
from tocsin.web.hooks import HooksFirst
from tocsin.web.site import site

BEARER = {"Authorization": "Bearer token"}
WITH_A_SHADOW = (
    MAPPINGS["policies.yaml"]
    .replace(
        "out: {kind: console, path: OUT}",
        """out: {kind: console, path: OUT}
          desk:
            kind: jira
            mode: shadow
            url: https://shop.atlassian.example
            email: tocsin@example.com
            api_token: {file: token}
            project: OPS""",
    )
    .replace("page: [out], ticket: [out]", "page: [out, desk], ticket: [out, desk]")
)


@pytest.fixture
def world(database: str, tmp_path: Path) -> Iterator[World]:
    (tmp_path / "mappings").mkdir()
    (tmp_path / "mappings" / "token").write_text("s3cret-token")
    made = World(database, tmp_path, {**MAPPINGS, "policies.yaml": WITH_A_SHADOW})
    yield made
    made.close()


@pytest.fixture
def client(world: World, tmp_path: Path) -> Iterator[Client]:
    receiver = Receiver(world.app, spool_dir=tmp_path / "spool")
    receiver.refresh()
    app = site(world.app.settings, receiver)
    yield Client(HooksFirst(receiver, app.wsgi_app))
    app.extensions["tocsin.database"].close()
    receiver.stop()


def page(client: Client, path: str) -> str:
    answer = client.get(path, headers=BEARER)
    assert answer.status_code == 200
    return str(answer.text)


def outage(world: World) -> None:
    world.deploy("checkout", minutes=1)
    world.alert("HighLatency", minutes=6, service="checkout")
    world.settle()


def test_what_a_shadow_would_have_sent_stands_beside_the_live_record(client: Client, world: World) -> None:
    outage(world)
    shown = page(client, "/shadow")
    left, _, right = shown.partition("<h3>Stands</h3>")
    assert "desk" in left
    assert ">create<" in left.replace(" ", "")
    assert "fields.summary" in left
    assert "out" in right
    assert "Checkout" in right or "checkout" in right
    assert "Platform" in right
    assert "s3cret-token" not in shown


def test_the_end_of_an_outage_is_one_more_call(client: Client, world: World) -> None:
    outage(world)
    world.alert("HighLatency", minutes=20, resolved=True, service="checkout")
    world.settle()
    assert ">resolve<" in page(client, "/shadow?destination=desk").replace(" ", "")
    assert "Nothing was kept here" in page(client, "/shadow?destination=other")


def test_one_incident_can_be_reviewed_alone(client: Client, world: World) -> None:
    outage(world)
    assert "TOC-1001" in page(client, "/shadow?incident=TOC-1001")
    assert "TOC-1001" not in page(client, "/shadow?incident=TOC-2000").partition("</h1>")[2]
    assert client.get("/shadow?incident=nine", headers=BEARER).status_code == 404


def test_destinations_show_mode_pause_and_what_waits(client: Client, world: World) -> None:
    outage(world)
    shown = page(client, "/destinations")
    assert "calls are only recorded" in shown
    assert "every record is delivered or under way" in shown
    destinations.pause(world.app.database, "out", actor="kim", why="desk moves house")
    shown = page(client, "/destinations")
    assert "by kim" in shown
    assert "desk moves house" in shown


def test_what_was_given_up_shows_the_vendors_words(client: Client, world: World) -> None:
    outage(world)
    world.do(
        "UPDATE records SET state = 'dead', next_attempt_at = NULL, last_reason = 'forbidden',"
        " last_detail = 'aborted by Business Rule <b>Validate CI</b>' WHERE destination = 'out'"
    )
    shown = page(client, "/destinations")
    assert "aborted by Business Rule &lt;b&gt;Validate CI" in shown
    assert "TOC-1001" not in page(client, "/destinations?destination=desk").partition('id="dead"')[2]


def test_markup_in_an_alert_stays_text_there_too(client: Client, world: World) -> None:
    world.alert("<script>alert(1)</script>", minutes=1, service="checkout")
    world.settle()
    for path in ("/shadow", "/destinations"):
        assert "<script>" not in page(client, path)


@pytest.mark.parametrize("path", ["/shadow", "/destinations"])
def test_without_the_token_nothing_is_shown(client: Client, path: str) -> None:
    assert client.get(path).headers["Location"].startswith("/login")
