"""Atlassian's own JSON schema judges every document that we can ever send."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from jsonschema import Draft4Validator

from tests.connectors.builders import note, task, wanted
from tests.connectors.jira.board import RESOLVED, Board
from tests.connectors.test_contract import LONG
from tocsin import simulators
from tocsin.connectors.jira.adf import document
from tocsin.connectors.jira.config import Config
from tocsin.connectors.jira.render import render

LINES = st.lists(
    st.one_of(
        st.text(max_size=60),
        st.sampled_from(
            [
                "",
                "    indented",
                "          column",
                "see https://example.org/a?b=c, or http://x",
                "https://",
                "\u2028",
                "\t\ttabs",
                "\x00\x1f",
                "[toc:1a2b3c4d]",
                "\ud800",
            ]
        ),
    ),
    max_size=12,
)


@pytest.fixture(scope="session")
def schema(node_modules: Path) -> Draft4Validator:
    path = node_modules / "@atlaskit" / "adf-schema" / "dist" / "json-schema" / "v1" / "full.json"
    if not path.exists():
        pytest.skip("@atlaskit/adf-schema is not in node_modules (run `make judges`)")
    return Draft4Validator(json.loads(path.read_text()))


def faults(schema: Draft4Validator, found: Any) -> list[str]:
    return [error.message[:300] for error in schema.iter_errors(found)]


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(lines=LINES)
def test_whatever_we_write_is_a_valid_document(schema: Draft4Validator, lines: list[str]) -> None:
    assert faults(schema, document("\n".join(lines))) == []


def test_the_longest_of_all_is_valid_too(schema: Draft4Validator) -> None:
    assert faults(schema, render(cloud(), LONG)["fields"]["description"]) == []


@cache
def cloud() -> Config:
    return Config(url="https://example.atlassian.net", email="a@example.org", api_token="t", project="OPS")


def test_every_description_and_comment_of_a_life_is_valid(schema: Draft4Validator, site: simulators.Running) -> None:
    board = Board(site, fields={"Root area": "Payments"})
    second = board.settled(
        task(notes=(note(1), note(2, "WHAT   x\nHIT    y\n          z\n\nSee https://example.org.")))
    )
    third = board.settled(replace(second, wanted=replace(RESOLVED, links=second.wanted.links), notes=(note(3),)))
    board.settled(replace(third, wanted=wanted()))
    issue = board.issue
    sent = [issue["fields"]["description"], *(comment["body"] for comment in issue["comments"])]
    assert len(sent) >= 3
    assert [faults(schema, one) for one in sent] == [[] for _ in sent]


@pytest.mark.parametrize(
    "broken",
    [
        "plain words",
        {"type": "doc", "content": []},
        {"type": "doc", "version": 1, "content": [{"type": "text", "text": "top"}]},
        {"type": "doc", "version": 1, "content": [{"type": "paragraph", "content": [{"type": "text", "text": ""}]}]},
    ],
)
def test_this_judge_can_fail(schema: Draft4Validator, broken: Any) -> None:
    assert faults(schema, broken)
