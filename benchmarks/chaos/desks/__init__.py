"""The three service desks of the trial: what is planted there, what people do, and how a record stands in the end."""

from __future__ import annotations

from benchmarks.chaos.clock import Clock
from benchmarks.chaos.desks.desk import Desk
from benchmarks.chaos.desks.jira import JiraDesk
from benchmarks.chaos.desks.pagerduty import PagerDutyDesk
from benchmarks.chaos.desks.servicenow import ServiceNowDesk

DESKS: dict[str, type[Desk]] = {"servicenow": ServiceNowDesk, "pagerduty": PagerDutyDesk, "jira": JiraDesk}


def desk_of(vendor: str, clock: Clock) -> Desk:
    """That vendor's simulator, serving; `close` ends it."""
    return DESKS[vendor](clock)


__all__ = ["DESKS", "Desk", "desk_of"]
