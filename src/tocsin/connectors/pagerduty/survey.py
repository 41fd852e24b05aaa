"""Which incidents stand in PagerDuty under our keys, and how? Read-only, for reconciliation; needs a token."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from tocsin.connectors._connector import PRODUCT
from tocsin.connectors._http import Failure, Http
from tocsin.connectors.pagerduty.config import Config
from tocsin.connectors.pagerduty.rest import Incident, Rest, incident_of, iso
from tocsin.domain.record import Reason
from tocsin.domain.seen import Seen

ONE_BY_ONE = 25
"""So many keys are asked for one by one; more are sought in the list of the account's incidents."""
_KEY = re.compile(r"[0-9a-f]{32}")


def survey(config: Config, keys: Sequence[str], since: datetime, http: Http) -> tuple[Seen, ...] | Failure:
    """The incidents under these keys; without keys all that Tocsin triggered since."""
    rest = Rest(config, http)
    if not rest.usable:
        return Failure("rejected", Reason.UNAUTHORIZED, detail="PagerDuty's incidents cannot be read without api_token")
    if keys and len(keys) <= ONE_BY_ONE:
        return _each(rest, keys)
    return _listed(rest, frozenset(keys), since)


def _each(rest: Rest, keys: Sequence[str]) -> tuple[Seen, ...] | Failure:
    found: list[Seen] = []
    for key in keys:
        incidents = rest.find(key)
        if isinstance(incidents, Failure):
            return incidents
        found += [_seen(one, key) for one in incidents]
    return tuple(found)


def _listed(rest: Rest, keys: frozenset[str], since: datetime) -> tuple[Seen, ...] | Failure:
    asked = (("since", iso(since)), ("until", iso(since + timedelta(days=179))), ("sort_by", "created_at:desc"))
    rows = rest.every("/incidents", "incidents", (*asked, ("include[]", "first_trigger_log_entries")))
    if isinstance(rows, Failure):
        return rows
    found = [(incident_of(row), row) for row in rows]
    return tuple(
        _seen(one, one.key)
        for one, row in found
        if (one.key in keys if keys else bool(_KEY.fullmatch(one.key)) and _client(row) == PRODUCT)
    )


def _client(row: dict[str, Any]) -> str:
    """Who triggered it: our events name Tocsin as their client."""
    entry = row.get("first_trigger_log_entry")
    channel = entry.get("channel") if isinstance(entry, dict) else None
    return str(channel.get("client") or "") if isinstance(channel, dict) else ""


def _seen(one: Incident, key: str) -> Seen:
    status = {"triggered": "open", "acknowledged": "acknowledged"}.get(one.status, "resolved")
    return Seen(
        external_id=one.id,
        key=key,
        number=one.number,
        url=one.url,
        status=status,  # type: ignore[arg-type]  # one of the three above
        created_at=one.created_at,
        updated_at=one.updated_at,
        values={"status": one.status, "moved_by_people": bool(one.changed_by), "ours": one.ours},
    )
