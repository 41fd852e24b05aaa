"""The console and the API let only token holders in, and treat everything from outside as text."""

import json

from werkzeug.test import Client

from tests.pipeline.world import World

BEARER = {"Authorization": "Bearer token"}


def test_without_the_token_nothing_is_shown(client: Client) -> None:
    assert client.get("/api/v1/incidents").status_code == 401
    assert client.get("/").headers["Location"].startswith("/login")
    assert client.post("/login", data={"token": "guess"}).status_code == 401


def test_a_session_opened_with_the_token_shows_incidents(client: Client, world: World) -> None:
    world.deploy("checkout", minutes=0)
    world.alert("HighLatency", minutes=6, service="checkout")
    world.settle()
    answer = client.post("/login", data={"token": "token", "to": "//elsewhere.example"})
    assert answer.headers["Location"] == "/"
    assert b"TOC-1001" in client.get("/").data
    page = client.get("/incidents/TOC-1001").data.decode()
    assert "LIKELY" in page
    assert "Likely causes" in page
    assert client.get("/incidents/TOC-9999").status_code == 404


def test_markup_in_an_alert_stays_text(client: Client, world: World) -> None:
    world.alert("<script>alert(1)</script>", minutes=1, service="checkout")
    world.settle()
    for path in ("/", "/incidents/TOC-1001", "/incidents/TOC-1001/cause"):
        page = client.get(path, headers=BEARER).data
        assert b"<script>" not in page


def test_a_person_confirms_the_cause_and_the_audit_trail_names_them(client: Client, world: World) -> None:
    world.deploy("checkout", minutes=0)
    world.alert("HighLatency", minutes=6, service="checkout")
    world.settle()
    [incident] = json.loads(client.get("/api/v1/incidents", headers=BEARER).data)["incidents"]
    answer = client.post(
        "/api/v1/incidents/TOC-1001/cause",
        json={"change": incident["likely_change"], "person": "kim"},
        headers=BEARER,
    )
    assert answer.status_code == 202
    from tocsin.pipeline import carry_out_job

    assert carry_out_job(world.app)
    [line] = world.sql("SELECT actor, reason FROM audit WHERE action = 'cause.confirmed'")
    assert line == {"actor": "kim", "reason": "confirmed"}


def test_a_form_of_another_site_is_refused(client: Client, world: World) -> None:
    world.alert("HighLatency", minutes=6, service="checkout")
    world.settle()
    foreign = {**BEARER, "Origin": "https://evil.example"}
    data = {"change": "none", "person": "kim"}
    assert client.post("/incidents/TOC-1001/cause", data=data, headers=foreign).status_code == 403


def test_the_incidents_page_shows_its_timeline_to_those_who_may_look(client: Client, world: World) -> None:
    world.deploy("checkout", minutes=0)
    world.alert("HighLatency", minutes=6, service="checkout")
    world.settle()
    address = "/incidents/TOC-1001/timeline.png"
    assert client.get(address, headers=BEARER).headers["Location"] == "/incidents/TOC-1001", "not drawn yet"
    from tocsin.pipeline import draw

    world.do("UPDATE pictures SET due_at = now()")
    assert draw(world.app)
    assert f'<img class="timeline" src="{address}?v='.encode() in client.get("/incidents/TOC-1001", headers=BEARER).data
    answer = client.get(address, headers=BEARER)
    assert answer.headers["Content-Type"] == "image/png"
    assert answer.data.startswith(b"\x89PNG")
    again = client.get(address, headers={**BEARER, "If-None-Match": answer.headers["ETag"]})
    assert again.status_code == 304
    assert client.get(address).headers["Location"].startswith("/login")
    assert client.get("/incidents/TOC-9999/timeline.png", headers=BEARER).status_code == 404


def test_the_incidents_page_says_why_there_is_no_timeline(client: Client, world: World) -> None:
    world.alert("HighLatency", minutes=6, service="checkout")
    world.settle()
    world.do("UPDATE pictures SET failed = 'drawing_failed', due_at = NULL")
    assert b"No timeline: drawing_failed" in client.get("/incidents/TOC-1001", headers=BEARER).data
