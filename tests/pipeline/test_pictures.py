"""The timeline picture reaches the desks once, and nothing waits for it."""

from __future__ import annotations

from collections.abc import Callable
from hashlib import sha256
from io import BytesIO
from types import SimpleNamespace
from typing import Any

import pytest
import requests
from PIL import Image

from tests.pipeline.conftest import AtWork
from tests.pipeline.staffed import Staff, Staffed
from tocsin import drawing, pipeline, worker
from tocsin.domain.timeline import Timeline
from tocsin.store import attachments, pictures, sweeps


def draw(world: Staffed) -> int:
    """Draw what is wanted, as the worker does when nothing has to be scored."""
    drawn = 0
    due_now(world)
    while pipeline.draw(world.app):
        drawn += 1
    return drawn


def in_servicenow(staff: Staff) -> list[dict[str, Any]]:
    """The timeline pictures that the ticket holds."""
    state: Any = staff.servicenow.state()
    return [row for row in state.get("tables", state).get("sys_attachment", ()) if row["file_name"] == "timeline.png"]


def in_jira(staff: Staff) -> list[dict[str, Any]]:
    return [file for file in staff.issue()["attachments"] if file["name"] == "timeline.png"]


def newest(world: Staffed) -> bytes:
    """The picture that the console shows."""
    picture = pictures.of_incident(world.app.database, world.incidents()[0]["number"])
    assert picture is not None
    assert picture.content is not None
    return picture.content


def test_ticket_and_issue_get_the_picture_once(at_work: AtWork, staff: Staff) -> None:
    world = at_work()
    assert (in_servicenow(staff), in_jira(staff)) == ([], []), "nothing waited for it"
    assert draw(world) == 1, "one for the incident, whatever the number of its records"
    world.settle()
    assert [file["hash"] for file in in_servicenow(staff)] == [sha256(newest(world)).hexdigest()]
    assert [file["size"] for file in in_jira(staff)] == [len(newest(world))]
    world.alert("Errors", minutes=2, service="checkout")
    world.settle()
    draw(world)
    world.settle()
    assert (len(in_servicenow(staff)), len(in_jira(staff))) == (1, 1)


def test_it_is_a_png_of_a_thousand_pixels(at_work: AtWork) -> None:
    world = at_work()
    draw(world)
    with Image.open(BytesIO(newest(world))) as picture:
        assert (picture.format, picture.width) == ("PNG", 1000)
    assert len(newest(world)) < 150_000


def test_a_second_score_before_it_was_sent_replaces_it(at_work: AtWork, staff: Staff) -> None:
    world = at_work()
    draw(world)
    first = newest(world)
    world.deploy("checkout", minutes=0)
    world.do("UPDATE incidents SET attribute_due_at = now()")
    world.do("UPDATE records SET told = jsonb_set(told, '{at}', to_jsonb(now() - interval '1 h'))")
    world.settle(send=False)
    draw(world)
    world.settle()
    assert newest(world) != first
    assert [file["hash"] for file in in_servicenow(staff)] == [sha256(newest(world)).hexdigest()]


def test_one_that_may_have_arrived_is_not_replaced(at_work: AtWork, staff: Staff) -> None:
    world = at_work()
    draw(world)
    lost = {"method": "POST", "path": "/attachment/file"}
    staff.servicenow.front.plans.add({"fault": "commit_then_drop", "times": 1, "match": lost})
    world.settle()
    world.do("UPDATE pictures SET due_at = now()")
    draw(world)
    world.do("UPDATE records SET next_attempt_at = now() - interval '1 s'")
    world.settle()
    assert len(in_servicenow(staff)) == 1


def test_an_outage_of_the_desk_costs_no_picture(at_work: AtWork, staff: Staff) -> None:
    world = at_work()
    staff.servicenow.reset()
    world.do("DELETE FROM records WHERE kind = 'servicenow'")
    staff.servicenow.front.plans.add({"fault": "server_error_before", "times": 0, "match": {"path": "/incident"}})
    world.do("UPDATE incidents SET decide_again_at = now()")
    world.settle()
    draw(world)
    for _ in range(attachments.MOST_TRIES + 1):
        world.do("UPDATE records SET next_attempt_at = now() - interval '1 s' WHERE kind = 'servicenow'")
        world.do("UPDATE destinations SET rests_until = NULL")
        world.settle()
    staff.servicenow.front.plans.clear()
    world.do("UPDATE records SET next_attempt_at = now() - interval '1 s' WHERE kind = 'servicenow'")
    world.do("UPDATE destinations SET rests_until = NULL")
    world.settle()
    assert len(in_servicenow(staff)) == 1


def test_a_picture_that_cannot_be_drawn_is_named_and_holds_up_nothing(
    at_work: AtWork, staff: Staff, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(drawing, "png", broken(ValueError("$")))
    world = at_work()
    assert draw(world) == 1
    world.settle()
    assert staff.ticket()["state"] == "1"
    assert staff.page()["status"] == "triggered"
    assert in_servicenow(staff) == []
    assert world.audit("picture.failed") == ["drawing_failed"]
    assert "picture=drawing_failed" in caplog.text
    monkeypatch.undo()
    draw(world)
    world.settle()
    assert len(in_servicenow(staff)) == 1


def test_without_the_library_there_are_tickets_without_pictures(
    at_work: AtWork, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(drawing, "png", broken(ImportError("matplotlib")))
    world = at_work()
    for _ in range(pictures.MOST_TRIES + 1):
        draw(world)
    assert world.audit("picture.failed") == ["library_missing"] * pictures.MOST_TRIES
    assert not sweeps.due(world.app.database).draw, "it is not tried for ever"


def test_a_drawer_that_died_three_times_is_given_no_fourth_try(at_work: AtWork) -> None:
    world = at_work()
    for _ in range(pictures.MOST_TRIES):
        due_now(world)
        assert pictures.take(world.app.database) is not None
    due_now(world)
    assert pictures.take(world.app.database) is None
    picture = pictures.of_incident(world.app.database, world.incidents()[0]["number"])
    assert picture is not None
    assert picture.failed == "interrupted"


def test_the_beat_leaves_drawing_to_the_worker(at_work: AtWork, monkeypatch: pytest.MonkeyPatch) -> None:
    world = at_work()
    due_now(world)
    monkeypatch.setattr(worker, "tocsin", lambda: world.app)
    beat = worker.Sweeper(app=worker.app, lazy=True)
    beat.apply_async(SimpleNamespace(task=worker.DRAW), advance=False)  # type: ignore[arg-type]
    assert beat._lock is not None
    beat._lock.close()
    assert sweeps.due(world.app.database).draw, "Redis is away: it waits"
    worker.draw()
    assert newest(world).startswith(b"\x89PNG")


def test_an_incident_that_nobody_is_told_of_gets_none(at_work: AtWork) -> None:
    world = at_work()
    draw(world)
    world.alert("Slow", minutes=3, service="search", severity="info", hook="am")
    world.do("UPDATE incidents SET attribute_due_at = now()")
    assert draw(world) == 0, "no record was planned"


def test_the_page_links_to_it(at_work: AtWork, staff: Staff) -> None:
    display = at_work().incidents()[0]["number"]
    assert f"/incidents/TOC-{display}/timeline.png" in str(staff.page())


def test_the_desks_forms_show_it(at_work: AtWork, staff: Staff) -> None:
    world = at_work()
    draw(world)
    world.settle()
    form = requests.get(f"{staff.servicenow.url}/incident/{staff.ticket()['number']}", timeout=5).text
    address = form.partition('<img class="shown" src="')[2].partition('"')[0]
    shown = requests.get(f"{staff.servicenow.url}{address}", timeout=5)
    assert (shown.content, shown.headers["Content-Type"]) == (newest(world), "image/png")
    issue = requests.get(f"{staff.jira.url}/browse/{staff.issue()['key']}", timeout=5).text
    address = issue.partition('<img class="shown" src="')[2].partition('"')[0]
    assert requests.get(f"{staff.jira.url}{address}", timeout=5).content == newest(world)


def broken(error: Exception) -> Callable[[Timeline], bytes]:
    def png(shown: Timeline) -> bytes:
        raise error

    return png


def due_now(world: Staffed) -> None:
    """As if the waiting time had passed."""
    world.do("UPDATE pictures SET due_at = now() - interval '1 s' WHERE due_at IS NOT NULL")
