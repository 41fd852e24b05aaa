"""Work notes and files: each once, whatever happened to the answer, and never a reason for the incident to fail."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from uuid import UUID

import pytest

from tests.connectors.builders import note, task
from tests.connectors.servicenow_desk import SEED, Desk, changed, known, later
from tocsin import simulators
from tocsin.domain.record import Attachment, Outcome, Reason, Task

LATE = timedelta(seconds=60)
EVIDENCE = Attachment(id=UUID(int=1), name="evidence.json", media_type="application/json", content=b'{"share": 0.31}')
PICTURE = Attachment(id=UUID(int=2), name="trend.png", media_type="image/png", content=b"\x89PNG\r\n" + b"\x00" * 900)


@pytest.fixture(scope="module")
def running() -> Iterator[simulators.Running]:
    with simulators.start("servicenow", seed=SEED) as one:
        yield one


@pytest.fixture
def desk(running: simulators.Running) -> Desk:
    running.reset()
    return Desk(running)


def noted(desk: Desk, *texts: str) -> Task:
    """An update that has only notes to tell."""
    return replace(changed(desk.opened()), notes=tuple(note(n, text) for n, text in enumerate(texts, start=1)))


def test_notes_that_wait_at_the_create_go_out_with_it(desk: Desk) -> None:
    outcome = desk.send(task(notes=(note(1, "First."), note(2, "Second."))))
    assert len(known(outcome).notes) == 2
    (entry,) = desk.work_notes
    assert entry.index("First.") < entry.index("Second.")
    assert (desk.calls("POST"), desk.calls("PATCH")) == (1, 0)


@pytest.mark.parametrize(
    "fault", ["commit_then_drop", "drop_before_commit", "server_error_after", "slow", "slow_commit"]
)
def test_a_note_arrives_once_even_when_the_answer_is_lost(desk: Desk, fault: str) -> None:
    second = noted(desk, "First.", "Second.")
    desk.fault(fault, method="PATCH", after_s=1.2)
    lost = desk.send(second)
    assert (lost.result, lost.after) == ("ambiguous", LATE)
    desk.running.front.stopping.wait(0.8)  # what is late arrives
    outcome = desk.send(later(lost, second))
    assert outcome.result == "done"
    assert len(known(outcome).notes) == 2
    (entry,) = desk.work_notes
    assert entry.count("First.") == entry.count("Second.") == 1


def test_a_note_is_held_back_while_a_lost_one_may_still_come_but_fields_are_not(desk: Desk) -> None:
    second = noted(desk, "First.")
    desk.fault("drop_before_commit", method="PATCH")
    lost = desk.send(second)
    early = replace(later(lost, second), now=second.now + LATE / 3, wanted=replace(second.wanted, impact=1))
    held = desk.send(early)
    assert (held.result, held.after) == ("ambiguous", LATE * 2 / 3)
    assert (desk.incident["impact"], desk.work_notes) == ("1", [])
    assert desk.send(later(held, early)).result == "done"
    assert len(desk.work_notes) == 1


def test_a_journal_that_cannot_be_read_now_leaves_the_attempt_in_doubt(desk: Desk) -> None:
    second = noted(desk, "First.")
    desk.fault("commit_then_drop", method="PATCH")
    lost = desk.send(second)
    desk.fault("server_error_before", method="GET", path="sys_journal_field", times=0)
    unsure = desk.send(later(lost, second))
    assert (unsure.result, unsure.reason) == ("ambiguous", Reason.SERVER_ERROR)
    desk.running.front.plans.clear()
    assert desk.send(later(unsure, later(lost, second))).result == "done"
    assert len(desk.work_notes) == 1


def test_where_the_journals_table_is_hidden_the_incidents_own_stream_tells(desk: Desk) -> None:
    second = noted(desk, "First.")
    desk.fault("commit_then_drop", method="PATCH")
    lost = desk.send(second)
    desk.fault("business_rule_abort", method="GET", path="sys_journal_field", times=0)  # any 403
    assert desk.send(later(lost, second)).result == "done"
    assert len(desk.work_notes) == 1


def test_an_incident_that_is_adopted_has_its_notes_looked_for(desk: Desk) -> None:
    first = task(notes=(note(1, "First."),))
    desk.fault("commit_then_drop")
    outcome = desk.send(first)
    assert (outcome.result, len(known(outcome).notes), len(desk.work_notes)) == ("duplicate", 1, 1)


def test_a_closed_incident_takes_no_notes_and_is_not_waited_for(desk: Desk) -> None:
    second = noted(desk, "First.")
    desk.person(state="7", incident_state="7")
    outcome = desk.send(replace(second, wanted=replace(second.wanted, status="resolved")))
    assert (outcome.result, len(known(outcome).notes), desk.work_notes) == ("done", 1, [])
    assert "later notes were not added" in outcome.detail


def test_notes_too_long_for_one_entry_go_in_several(desk: Desk) -> None:
    outcome = desk.send(noted(desk, *("x" * 12_000 for _ in range(4))))
    assert len(known(outcome).notes) == 4
    assert [len(entry) for entry in desk.work_notes] == [2 * 12_015 + 2] * 2


def test_what_an_alert_says_never_becomes_html(desk: Desk) -> None:
    desk.send(noted(desk, "[code]<img src=x>[/CODE]"))
    (entry,) = desk.work_notes
    assert "[code]" not in entry.lower()
    assert "<img src=x>" in entry


def test_a_refused_field_does_not_hide_that_a_note_may_stand_already(desk: Desk) -> None:
    second = noted(desk, "First.")
    desk.fault("commit_then_drop", method="PATCH")
    lost = desk.send(second)
    early = replace(later(lost, second), now=second.now, wanted=replace(second.wanted, impact=1))
    desk.fault("business_rule_abort", method="PATCH")
    desk.fault("drop_before_commit", method="GET", path="sys_journal_field", times=0)
    refused = desk.send(early)
    assert refused.result == "rejected"
    desk.running.front.plans.clear()
    revived = later(refused, early, ambiguous_since=None)  # an operator replays it from the dead letters
    assert desk.send(revived).result == "done"
    assert len(desk.work_notes) == 1


# --- files ---


def filed(desk: Desk, *files: Attachment) -> Task:
    return replace(changed(desk.opened()), attachments=files)


def test_files_are_attached_as_they_are(desk: Desk) -> None:
    outcome = desk.send(filed(desk, EVIDENCE, PICTURE))
    assert known(outcome).attachments == (EVIDENCE.id, PICTURE.id)
    rows = {row["file_name"]: row for row in desk.rows("sys_attachment")}
    assert {row["table_sys_id"] for row in rows.values()} == {desk.incident["sys_id"]}
    assert (rows["trend.png"]["content_type"], rows["trend.png"]["size_bytes"]) == ("image/png", "906")


@pytest.mark.parametrize("fault", ["commit_then_drop", "drop_before_commit", "server_error_after", "rate_limit"])
def test_a_file_arrives_once_and_the_incident_is_done_meanwhile(desk: Desk, fault: str) -> None:
    second = filed(desk, EVIDENCE, PICTURE)
    desk.fault(fault, path="/attachment/file")
    outcome = desk.send(second)
    assert outcome.result == "done"
    assert outcome.after is not None
    assert outcome.after >= LATE
    assert "attachments wait" in outcome.detail
    again = desk.send(later(outcome, replace(second, wanted=second.wanted)))
    assert (again.result, again.after) == ("done", None)
    assert sorted(row["file_name"] for row in desk.rows("sys_attachment")) == ["evidence.json", "trend.png"]


def test_a_file_that_is_refused_is_told_and_not_tried_for_ever(desk: Desk) -> None:
    first = filed(desk, EVIDENCE)
    desk.fault("server_error_before", path="/attachment/file", status=413)
    outcome: Outcome = desk.send(first)
    assert (outcome.result, outcome.after, known(outcome).attachments) == ("done", None, (EVIDENCE.id,))
    assert "'evidence.json' was refused" in known(outcome).warnings[0]


def test_a_create_attaches_without_looking_first(desk: Desk) -> None:
    desk.send(task(attachments=(EVIDENCE,)))
    assert desk.calls("GET", "sys_attachment") == 0
    assert len(desk.rows("sys_attachment")) == 1
