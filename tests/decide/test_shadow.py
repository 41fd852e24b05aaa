"""A shadow tells what it would have sent, once each, and no key to anybody's door."""

from __future__ import annotations

from dataclasses import replace

from tests.connectors.builders import WANTED, note
from tocsin.decide.shadow import would_send

SHOWN = {"title": WANTED.title, "state": "1", "address": {"routing_key": "0123456789abcdef"}}


def test_the_first_is_a_create_whole_but_for_keys() -> None:
    [call] = would_send(WANTED, SHOWN, version=1, told=None, told_rendered=None)
    assert (call.call, call.body) == ("create", {**SHOWN, "address": {"routing_key": "…cdef"}})


def test_later_ones_carry_what_changed_and_notes() -> None:
    ended = replace(WANTED, status="resolved")
    calls = would_send(ended, {**SHOWN, "state": "6"}, version=2, told=WANTED, told_rendered=SHOWN, notes=[note(1)])
    assert [(c.call, c.body) for c in calls] == [("resolve", {"state": "6"}), ("note", {"text": note(1).text})]


def test_nothing_new_is_no_call_and_what_was_never_opened_is_not_ended() -> None:
    assert would_send(WANTED, SHOWN, version=2, told=WANTED, told_rendered=SHOWN) == []
    ended = replace(WANTED, status="resolved")
    assert would_send(ended, SHOWN, version=2, told=None, told_rendered=None) == []
