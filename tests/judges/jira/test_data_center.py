"""The same for Data Center: Prism checks our connector and the simulator against its document of version 2.

That document was generated from Java classes and is crude in places: each is named below, and everything else counts.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import requests

from tests.connectors.builders import note, task, wanted
from tests.connectors.jira.board import Board
from tests.judges.conftest import Prism, Proxies
from tests.judges.jira.conftest import SEED
from tocsin import simulators

CRUDE = (
    "Invalid security scheme used",  # it knows no personal access tokens
    ".fields.",  # every field is called an object, a summary too
    "request.body.properties.",  # the value of a property is called a text
    "defined in the document: 200,400,401,403",  # a new web link is answered 201, as version 3 says
)


def violations(gate: Prism) -> str:
    return "\n".join(one for one in gate.violations() if not any(known in one for known in CRUDE))


@pytest.fixture(scope="module")
def server() -> Iterator[simulators.Running]:
    with simulators.start("jira", deployment="Server", seed=SEED) as running:
        yield running


@pytest.fixture(scope="module")
def gate(prism: Proxies, data_center_document: Path, server: simulators.Running) -> Prism:
    return prism(data_center_document, server.url)


def test_a_whole_life_without_a_violation(server: simulators.Running, gate: Prism) -> None:
    area = {"Root area": "Payments"}
    config = {"flavour": "datacenter", "email": "", "fields": area, "read_timeout_s": 30, "deadline_s": 110}
    board = Board(server, url=gate.url, **config)
    second = board.settled(task(notes=(note(1),), attempts=1))
    third = board.settled(replace(second, wanted=wanted(severity="critical"), notes=(note(2),)))
    over = wanted(severity="critical", status="resolved", close_notes="Rolled back.")
    fourth = board.settled(replace(third, wanted=over))
    board.settled(replace(fourth, wanted=wanted(severity="critical")))
    board.settled(task(wanted=wanted(key="00" * 16, generation=1, previous="OPS-1"), attempts=2))
    assert violations(gate) == ""
    assert gate.checked() >= 20
    assert len(board.open_issues) == 2


def test_this_judge_can_fail(gate: Prism) -> None:
    headers = {"Authorization": "Bearer tocsin"}
    requests.post(f"{gate.url}/rest/api/2/issue", json={"fields": "oops"}, headers=headers, timeout=60)
    assert "request.body.fields Request body property fields must be object" in violations(gate)
