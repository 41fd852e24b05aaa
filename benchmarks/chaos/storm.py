"""What does a storm of alerts on one incident cost a vendor in calls? The whole product runs, in real time."""

from __future__ import annotations

from datetime import UTC, datetime

import requests
from rich.progress import Progress
from tests.e2e.company import TAGS, services
from tests.e2e.stack import running_stack, wait_until
from tests.e2e.storm import alert, alertmanager, incidents_of

TAG = "flood"
PER_WEBHOOK = 50
MOST_CALLS = 10
"""Per destination (issue: `a storm of 5,000 alerts on one incident costs at most 10 calls per destination`)."""
GATHERED_S = 75
"""Notes are gathered for a minute (decide/plan.py); after this the last one has gone out."""


def measure(alerts: int, bar: Progress) -> bool:
    """Post so many alerts, each of another pod, about a service with a page and a ServiceNow ticket, and as many about
    one with a Jira issue. True when no destination got more than MOST_CALLS."""
    TAGS[TAG] = 1
    paged, _, tracked = services(TAG)
    task = bar.add_task(f"storm of {alerts} alerts on each of two incidents", total=2 * alerts)
    with running_stack() as stack, requests.Session() as session:
        now = datetime.now(UTC)
        for start in range(0, alerts, PER_WEBHOOK):
            for service in (paged, tracked):
                pods = [alert(service, starts_at=now, pod=f"{service}-{start + n}") for n in range(PER_WEBHOOK)]
                assert stack.posting(session, "am", alertmanager(pods)).status_code == 202
                bar.advance(task, PER_WEBHOOK)
        posted_at = datetime.now(UTC)
        wait_until(stack.is_idle, 300, "the storm is delivered")
        wait_until(lambda: (datetime.now(UTC) - posted_at).total_seconds() > GATHERED_S, 300, "the last note is due")
        wait_until(stack.is_idle, 60, "the last note is delivered")
        members = stack.sql("SELECT count(*) AS n FROM alerts WHERE incident_id IS NOT NULL")[0]["n"]
        incidents = len(incidents_of(stack, TAG))
        calls = {name: len(desk.front.calls) for name, desk in stack.desks.items()}
    bar.console.print(
        f"storm: {members} alerts in {incidents} incidents; calls: "
        + ", ".join(f"{name} {count}" for name, count in calls.items()),
        highlight=False,
    )
    return incidents == 2 and members >= 2 * alerts and max(calls.values()) <= MOST_CALLS
