"""To which incident does an alert go that fires again?"""

from __future__ import annotations

from uuid import UUID

from tests.decide.builders import alert, at, catalog
from tocsin.decide.fold import Fold
from tocsin.decide.group import Groups
from tocsin.domain.alert import Status
from tocsin.domain.policy import Policy

WORLD = catalog({"service:checkout": ["service:payments"], "service:cart": ["service:payments"]})


def told(*reports: tuple[str, float, float | None]) -> Fold:
    """Services that alert, in the order in which they begin; the minutes of begin and end."""
    fold = Fold(
        environment="production", installation_id=UUID(int=1), mapping_version=1, catalog=WORLD,
        policy=Policy(), states={}, incidents={}, groups=Groups(WORLD),
    )  # fmt: skip
    seq = 0
    for service, began, ended in reports:
        for minute in (began, ended):
            if minute is not None:
                seq += 1
                over = {} if minute == began else {"status": Status.RESOLVED, "ends_at": at(minute)}
                told = alert(f"service:{service}", fingerprint=service, starts_at=at(began), **over)
                fold.take(told, message_id=UUID(int=seq), seq=0, at=at(minute))
    return fold


def joined(fold: Fold) -> list[str]:
    return [entry.reason for entry in fold.audit if entry.action == "alert.joined"]


def test_alone_it_goes_back_to_the_incident_that_was_its_own() -> None:
    assert joined(told(("checkout", 0, 10), ("checkout", 300, None))) == ["opened", "reopened"]


def test_it_joins_the_outage_that_explains_it_better_than_its_own_former_incident() -> None:
    fold = told(("checkout", 0, 10), ("payments", 300, None), ("cart", 301, None), ("checkout", 302, None))
    assert joined(fold) == ["opened", "opened", "grouped", "grouped"]
    assert len({state.incident_id for state in fold.states.values()}) == 1
