"""Keeps one alert per outage in Event Management instead of an incident: events of one message_key are one alert.

Docs send-events-via-web-service: `POST /api/global/em/jsonv2`; a repeat under the same key changes nothing, severity 0
clears. An incident, where the customer's alert rules make one, is theirs.
"""

from __future__ import annotations

import re
from datetime import timedelta

from tocsin.connectors._connector import done, rejected
from tocsin.connectors._http import Failure, Http
from tocsin.connectors.servicenow.config import Config
from tocsin.connectors.servicenow.render import event
from tocsin.connectors.servicenow.table import Table, result_of
from tocsin.domain.record import Confirmation, Outcome, Reason, Task

PATH = "/api/global/em/jsonv2"
_INSERTED = re.compile(r"(\d+)\s+events?\s+(?:were|was)\s+inserted")


def send_event(config: Config, task: Task, http: Http) -> Outcome:
    """One event that says how the outage stands; notes go along as additional information."""
    wanted = task.wanted
    opening = task.sent_wanted is None and task.ambiguous_since is None and wanted.status == "open"
    at = wanted.opened_at if opening else task.now
    body = {"records": [event(wanted, at=at, notes=tuple(note.text for note in task.notes))]}
    answer = Table(config, http).call("POST", PATH, idempotent=True, json=body)
    result = answer if isinstance(answer, Failure) else result_of(answer, idempotent=True)
    if isinstance(result, Failure):
        return _undecided(config, result)
    counted = _INSERTED.search(str(result))
    if counted is not None and counted[1] == "0":
        return rejected(Reason.CLIENT_ERROR, http.words(f"no event was taken: {result}"))
    state = {"severity": str(body["records"][0]["severity"])}
    told = Confirmation(
        external_id=wanted.key,
        url=f"{config.root}/em_alert_list.do?sysparm_query=message_key%3D{wanted.key}",
        sent=state,
        observed=state,
        notes=tuple(note.id for note in task.notes),
    )
    return done(told)


def _undecided(config: Config, failure: Failure) -> Outcome:
    """An event whose answer was lost may come in behind a later one: the next waits until it no longer can."""
    if failure.reason is not Reason.TIMEOUT or failure.unsent:
        return failure.outcome()
    late = timedelta(seconds=config.late_commit_s)
    return Outcome(result="ambiguous", reason=failure.reason, detail=failure.detail, after=late)
