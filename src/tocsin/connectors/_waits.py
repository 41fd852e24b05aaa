"""How long does a vendor ask us to wait? Each has a header of its own for it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime

MAX_AFTER = timedelta(hours=24)


def asked_to_wait(headers: Mapping[str, str], *, now: datetime | None) -> timedelta | None:
    """How long the vendor asks us to wait: Retry-After (seconds or date), ratelimit-reset (seconds; PagerDuty REST),
    X-RateLimit-Reset (unix seconds; ServiceNow; or ISO 8601; Jira). At most 24 hours; None where it says nothing."""
    for seconds in _waits_s(headers, now=now):
        if seconds is not None and seconds >= 0:
            return min(timedelta(seconds=seconds), MAX_AFTER)
    return None


def _waits_s(headers: Mapping[str, str], *, now: datetime | None) -> Iterator[float | None]:
    asked = headers.get("Retry-After", "").strip()
    yield _number(asked)
    yield _seconds_until(_http_date(asked), now)
    yield _number(headers.get("ratelimit-reset", ""))
    reset = headers.get("X-RateLimit-Reset", "").strip()
    at_s = _number(reset)
    if at_s is not None and now is not None:
        yield at_s - now.timestamp()
    yield _seconds_until(_iso(reset), now)


def _number(text: str) -> float | None:
    return float(text) if re.fullmatch(r"\d{1,12}(\.\d+)?", text.strip()) else None


def _http_date(text: str) -> datetime | None:
    try:
        return parsedate_to_datetime(text)
    except ValueError:
        return None


def _iso(text: str) -> datetime | None:
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        return None


def _seconds_until(moment: datetime | None, now: datetime | None) -> float | None:
    if moment is None or now is None or moment.tzinfo is None:
        return None
    return max(0.0, (moment - now).total_seconds())
