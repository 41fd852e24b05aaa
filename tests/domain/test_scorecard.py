"""What an alert rule's owner is told to mend, by example."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from tocsin.domain.scorecard import Scorecard, worst_first


def card(**more: Any) -> Scorecard:
    known: dict[str, Any] = {"name": "DiskFull", "source": "zabbix", "owner": "platform", "fired": 20, "incidents": 20}
    return Scorecard(**(known | more))


@pytest.mark.parametrize(
    ("known", "mend"),
    [
        (
            {"owner": ""},
            "Nobody owns what it watches: claim it in teams/<team>.yaml, so that it reaches the right people.",
        ),
        (
            {"came_back": 12},
            "It came back within 30 minutes 12 of 20 times: let it last longer before it fires, or end at another level"
            " than it begins.",
        ),
        (
            {"recorded": 20, "judged": 20, "acted": 2, "median": timedelta(minutes=4)},
            "Nobody acted on 18 of 20 incidents: let it last longer before it fires.",
        ),
        (
            {"recorded": 20, "judged": 20, "acted": 2, "median": timedelta(hours=4)},
            "Nobody acted on 18 of 20 incidents: raise its threshold or send it nowhere.",
        ),
        (
            {"fired": 300, "busiest": 270, "days": 30.0, "incidents": 3},
            "One item alone fired 270 times, 9 a day: let it last longer before it fires, or raise its threshold.",
        ),
        ({"muted": {"in_window": 15}}, "15 of 20 incidents were held back (in window): it need not fire then."),
        (
            {"recorded": 20, "judged": 20, "acted": 18, "told": 3},
            "17 of 20 tickets named no first step: write a runbook.",
        ),
        ({"recorded": 20, "judged": 20, "acted": 18, "told": 18}, "Nothing to mend."),
        ({"recorded": 2, "judged": 2}, "Too few incidents to judge it."),
    ],
)
def test_what_to_mend_first(known: dict[str, Any], mend: str) -> None:
    assert card(**known).mend == mend


def test_what_cannot_be_judged_has_no_share() -> None:
    nothing = card()
    assert (nothing.precision, nothing.actionability, nothing.flap_rate) == (None, None, 0)
    some = card(recorded=4, judged=4, acted=1, told=2, came_back=5)
    assert (some.precision, some.actionability, some.flap_rate) == (0.25, 0.5, 0.25)


def test_the_rule_that_wastes_most_comes_first() -> None:
    good = card(name="good", judged=9, acted=9)
    noisy = card(name="noisy", judged=9, acted=1)
    flapping = card(name="flapping", came_back=12)
    assert [c.name for c in worst_first([good, noisy, flapping])] == ["flapping", "noisy", "good"]
