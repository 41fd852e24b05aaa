"""May this event go out now? A token bucket per routing key, so that PagerDuty's 429 stays the exception.

The Events API takes about 120 calls a minute and integration key, over the last 60 seconds
(https://developer.pagerduty.com/docs/events-api-v2-rate-limits); what it refuses it has not ingested.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from tocsin.connectors._http import Http

RESERVED = 0.2
"""This share of the bucket is kept for pages and their ends: an update of an open page waits first."""
REFUSED_WAIT = timedelta(seconds=30)
"""`3 times with each request being 30 seconds apart`, same page; it names no time in its answer."""


def wait_for(http: Http, route: str, *, per_minute: int, urgent: bool, now: datetime) -> timedelta | None:
    """Takes one of the route's tokens and answers None; or says how long to wait for one. A clock that went back counts
    as one that stood still."""
    refused_at, shut = http.recall(_name("refused", route)) or (now, timedelta(0))
    if refused_at <= now < refused_at + shut:
        return timedelta(seconds=max(1.0, (refused_at + shut - now).total_seconds()))
    full = float(per_minute)
    tokens, at = http.recall(_name("bucket", route)) or (full, now)
    tokens = min(full, tokens + max(0.0, (now - at).total_seconds()) * full / 60)
    missing = (0.0 if urgent else full * RESERVED) + 1 - tokens
    if missing > 0:
        return timedelta(seconds=max(1.0, missing * 60 / full))
    http.remember(_name("bucket", route), (tokens - 1, now), for_s=120)
    return None


def closed(http: Http, route: str, *, after: timedelta, now: datetime) -> None:
    """PagerDuty refused one for its rate: nothing more on this route until `after` has passed."""
    http.remember(_name("refused", route), (now, after), for_s=after.total_seconds() + 1)


def _name(what: str, route: str) -> str:
    return f"pagerduty.{what}.{route}"
