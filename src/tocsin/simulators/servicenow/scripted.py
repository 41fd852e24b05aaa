"""What does a `javascript:gs.…()` value in an encoded query stand for? The few functions that integrations use."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

MOMENT = "%Y-%m-%d %H:%M:%S"
"""How the database writes a moment (UTC)."""

_CALL = re.compile(r"(?:gs\.)?(\w+)\(([^()]*)\);?")
_AGO = {"minutesAgo": 60, "hoursAgo": 3600, "daysAgo": 86_400}


def evaluated(value: str, meaning: Callable[[str], str | None]) -> str | None:
    """The value with every `javascript:` part (several are parted by @) replaced by what it means; None when one of
    them has no meaning here."""
    parts = [meaning(part[11:]) if part.startswith("javascript:") else part for part in value.split("@")]
    return None if None in parts else "@".join(part or "" for part in parts)


def meaning(script: str, *, user_id: str, now: datetime, zone: ZoneInfo) -> str | None:
    """The text that a call of a function of `gs` gives, moments in UTC; None for anything else. Days and the moments
    of dateGenerate are those of the caller's time zone."""
    call = _CALL.fullmatch(script.strip())
    if call is None:
        return None
    name, arguments = call[1], [part.strip().strip("'\"") for part in call[2].split(",")]
    here = now.astimezone(zone)
    midnight = here.replace(hour=0, minute=0, second=0, microsecond=0)
    try:
        if name in _AGO:
            return _written(now - timedelta(seconds=float(arguments[0]) * _AGO[name]))
        if name == "dateGenerate":
            return _generated(arguments, zone)
    except ValueError:
        return None
    if name == "getUserID":
        return user_id
    moments = {
        "now": now,
        "nowDateTime": now,
        "beginningOfToday": midnight,
        "endOfToday": midnight + timedelta(days=1, seconds=-1),
        "beginningOfYesterday": midnight - timedelta(days=1),
    }
    return _written(moments[name]) if name in moments else None


def _written(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime(MOMENT)


def _generated(arguments: list[str], zone: ZoneInfo) -> str:
    day, time = arguments if len(arguments) == 2 else (arguments[0], "00:00:00")
    time = {"start": "00:00:00", "end": "23:59:59"}.get(time, time)
    return _written(datetime.strptime(f"{day} {time}", MOMENT).replace(tzinfo=zone))
