"""Is a page that rings anew excused only where nobody could have known that a person had closed the first?"""

from __future__ import annotations

import importlib
import logging
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any
from unittest.mock import patch

import pytest
from benchmarks.chaos.batch import database, run
from benchmarks.chaos.clock import Clock
from benchmarks.chaos.script import Fault, Happening, Script

from tocsin.connectors.pagerduty.bring import _Page
from tocsin.connectors.pagerduty.rest import Rest

LAG_S = 16.0
LAST_LOOK = 2
"""The search of the attempt that rings again; the first is made right after the page."""


@pytest.fixture(scope="module")
def trial_database() -> Iterator[str]:
    logging.disable(logging.WARNING)
    with database() as url:
        yield url
    logging.disable(logging.NOTSET)


def closed_then(kind: str, *, at_s: float, faults: tuple[Fault, ...] = ()) -> Script:
    """A person closes the page after 8 s, 5 s after it rang; then something happens."""
    moments = (("open", 2.0), ("person resolve", 8.0), (kind, at_s))
    happenings = tuple(Happening(at_s=at_s, kind=kind) for kind, at_s in moments)
    return Script(
        vendor="pagerduty", seed=0, happenings=happenings, faults=faults, accidents=(), outages=(), index_lag_s=LAG_S
    )


def rung(url: str, script: Script) -> list[str]:
    return [one.words for one in run(url, "pagerduty", [script], clock=Clock()).violations]


TWICE = ["generation 1: 2 pages: 2 at Alpha"]
HIDDEN, SHOWN = closed_then("worse", at_s=15.0), closed_then("worse", at_s=60.0)


def test_what_gets_worse_while_the_list_does_not_show_the_page_yet_may_ring(trial_database: str) -> None:
    assert rung(trial_database, HIDDEN) == []


def test_what_gets_worse_while_the_look_fails_may_ring(trial_database: str) -> None:
    late = replace(SHOWN, index_lag_s=0.0)
    for nth in range(LAST_LOOK, LAST_LOOK + 3):  # a look is tried three times
        late = replace(late, faults=(*late.faults, Fault(role="search", nth=nth, kind="drop_before_commit")))
    assert rung(trial_database, late) == []


def test_the_product_does_not_ring_once_the_list_shows_the_close(trial_database: str) -> None:
    assert rung(trial_database, SHOWN) == []


def _shown_open(find: Callable[..., Any]) -> Callable[..., Any]:
    return lambda rest, key: tuple(replace(one, status="triggered") for one in find(rest, key))


BRING = importlib.import_module("tocsin.connectors.pagerduty.bring")
FAULTS: dict[str, tuple[Script, Any]] = {
    "it does not look": (HIDDEN, patch.object(_Page, "look", lambda _page: None)),
    "it does not heed what it sees": (SHOWN, patch.object(Rest, "find", _shown_open(Rest.find))),
    "it says the same again": (closed_then("join", at_s=15.0), patch.object(BRING, "worse", lambda _now, _shown: True)),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_product_that_rings_needlessly_is_found_out(trial_database: str, fault: str) -> None:
    script, broken = FAULTS[fault]
    with broken:
        assert rung(trial_database, script) == TWICE
