"""Prism stands between our connector and the simulator and checks every request and every answer against Atlassian's
OpenAPI document: a whole life must pass without a violation."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import requests

from tests.connectors.builders import NOW, after, note, task, wanted
from tests.connectors.jira.board import Board
from tests.connectors.jira.files import evidence
from tests.judges.conftest import Prism
from tocsin import simulators


def test_a_whole_life_without_a_violation(board: Board, proxy: Prism) -> None:
    second = board.settled(task(notes=(note(1),), attempts=1))
    third = board.settled(replace(second, wanted=wanted(severity="critical"), notes=(note(2), note(3))))
    straight = Board(board.running, url=board.running.url)  # the document calls the form of a file an array
    fourth = straight.settled(replace(third, attachments=(evidence(1),)))
    over = wanted(severity="critical", status="resolved", close_notes="Rolled back.")
    fifth = board.settled(replace(fourth, wanted=over))
    sixth = board.settled(replace(fifth, wanted=wanted(severity="critical")))
    board.api("PUT", "/issue/OPS-1/assignee", {"accountId": "ada"})
    board.settled(replace(sixth, wanted=over))
    board.settled(task(wanted=wanted(key="00" * 16, generation=1, previous="OPS-1"), attempts=1))
    assert "\n".join(proxy.violations()) == ""
    assert [one["status_category"] for one in board.issues] == ["done", "new"]
    assert proxy.checked() >= 20


def test_lost_answers_and_doubles_without_a_violation(board: Board, proxy: Prism, site: simulators.Running) -> None:
    blind = Board(site, url=proxy.url, fields={"Root area": "Payments"}, probe_by_key=False, read_timeout_s=30)
    board.fault("server_error_after")
    board.fault("index_lag", path="/search", after_s=3600, times=3)
    first = task(attempts=1)
    second = after(blind.send(first), first, now=NOW + timedelta(seconds=240))
    third = after(blind.send(second), second, now=NOW + timedelta(seconds=241))
    fourth = after(blind.send(third), third, now=NOW + timedelta(seconds=242))
    assert len(board.issues) == 2
    proxy.violations()  # the planned 503 is none of Atlassian's documented answers
    board.settled(fourth)
    assert len(board.open_issues) == 1
    assert "\n".join(proxy.violations()) == ""


def test_this_judge_can_fail(proxy: Prism) -> None:
    refused = requests.post(
        f"{proxy.url}/rest/api/3/issue", json={"fields": "oops"}, auth=("admin", "tocsin"), timeout=60
    )
    assert refused.status_code == 400
    assert "request.body.fields" in " ".join(proxy.violations())
