"""When was that? A sender's time in any of the spellings that senders use, as an aware UTC moment."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, tzinfo

from tocsin.domain.errors import BadPayload

EARLIEST = datetime(2000, 1, 1, tzinfo=UTC)
LATEST = datetime(2100, 1, 1, tzinfo=UTC)
"""Outside of these a time is a mistake or a placeholder (Go's zero time, epoch 0, year 9999) and says nothing."""

LEAST_WINDOW = timedelta(hours=1)
"""Of checks that come in windows: the shortest schedule of the ML monitors that we read (judgement)."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_EARLIEST_US = (EARLIEST - _EPOCH) // timedelta(microseconds=1)
_LATEST_US = (LATEST - _EPOCH) // timedelta(microseconds=1)
_NUMBER = re.compile(r"[+-]?\d+(\.\d*)?([eE][+]?\d+)?")
_OFFSET = re.compile(r"\s+([+-]\d\d:?\d\d)$")
_MICROSECONDS_PER_UNIT = ((10**11, 10**6), (10**14, 10**3), (10**17, 1))
"""By magnitude, as times since 2000 cannot overlap: seconds, milliseconds, microseconds; larger is nanoseconds."""


def moment(value: object, *, zone: tzinfo = UTC) -> datetime | None:
    """The moment in UTC; None for an absent, zero or absurd one (before 2000, after 2100).

    Reads ISO 8601 with `Z`, `+00:00`, `+0000`, any number of fraction digits (cut at microseconds), a space for the
    `T`, a trailing `UTC`; naive times are in `zone`; epoch seconds, milliseconds, microseconds and nanoseconds as
    numbers or texts (reference: the thirteen spellings counted in real bodies).
    Raises BadPayload for a text or type that is no time at all."""
    if value is None:
        return None
    if isinstance(value, datetime):
        return _sane(value, zone)
    if isinstance(value, str):
        return _from_text(value.strip(), zone)
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return _from_epoch(value)
    raise BadPayload(f"expected a time, found {type(value).__name__}")


def window_start(told: object, until: datetime | None) -> datetime | None:
    """Since when the data was recorded that a check looked at, which alerts at `until`. None for a window of minutes:
    such a check slides over its data and looks all the time; and for what is no time: an alert can do without it."""
    try:
        since = moment(told)
    except BadPayload:
        return None
    return since if since and until and until - since >= LEAST_WINDOW else None


def _from_text(text: str, zone: tzinfo) -> datetime | None:
    if not text:
        return None
    try:
        return _sane(datetime.fromisoformat(text), zone)
    except ValueError:
        pass
    if _NUMBER.fullmatch(text) and len(text) <= 40:
        return _from_epoch(float(text) if not text.isdecimal() else int(text))
    plain = text.removesuffix("UTC").removesuffix("GMT").rstrip()
    plain = _OFFSET.sub(r"\1", plain)
    if plain != text:
        utc = UTC if text.endswith(("UTC", "GMT")) else zone
        try:
            return _sane(datetime.fromisoformat(plain), utc)
        except ValueError:
            pass
    raise BadPayload(f"{text[:40]!r} is not a time")


def _from_epoch(value: float) -> datetime | None:
    for limit, factor in _MICROSECONDS_PER_UNIT:
        if abs(value) < limit:
            microseconds = value * factor
            break
    else:
        microseconds = value // 1000
    if not _EARLIEST_US <= microseconds < _LATEST_US:  # never true for NaN
        return None
    return _EPOCH + timedelta(microseconds=round(microseconds))


def _sane(found: datetime, zone: tzinfo) -> datetime | None:
    if not 1999 < found.year < 2101:  # first, because conversion overflows at year 1
        return None
    if found.tzinfo is not UTC:
        found = (found if found.tzinfo else found.replace(tzinfo=zone)).astimezone(UTC)
    return found if EARLIEST.year <= found.year < LATEST.year else None
