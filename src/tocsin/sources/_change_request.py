"""What is planned or was done, by a change request in ServiceNow? The body that our Business Rule posts.

An approved request is told with its planned window, so that the window can become maintenance; one that is being
implemented or has ended is a change that may explain a symptom. All tellings of one request are one change.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from pydantic import BaseModel, ConfigDict

from tocsin.domain.change import Change, ChangeKind, ChangeOutcome
from tocsin.domain.message import Hook, Message
from tocsin.domain.subject import Subject
from tocsin.sources._delivery import Words, change_of, elsewhere, environment_in, first_time
from tocsin.sources._identity import subject_of
from tocsin.sources._json import shaped
from tocsin.sources._shape import Name

STATES: Mapping[str, str] = {
    **dict.fromkeys(("-5", "new"), "new"),
    **dict.fromkeys(("-4", "assess"), "assess"),
    **dict.fromkeys(("-3", "authorize"), "authorize"),
    **dict.fromkeys(("-2", "scheduled"), "scheduled"),
    **dict.fromkeys(("-1", "implement"), "implement"),
    **dict.fromkeys(("0", "review"), "review"),
    **dict.fromkeys(("3", "closed", "closed complete", "closed incomplete"), "closed"),
    **dict.fromkeys(("4", "canceled", "cancelled", "closed skipped"), "canceled"),
}
"""The base system's states of a change_request, by value and by label."""

NOT_APPROVED = frozenset({"new", "assess", "authorize"})
OUTCOMES = {
    "successful": ChangeOutcome.SUCCESS,
    "successful_issues": ChangeOutcome.SUCCESS,
    "successful with issues": ChangeOutcome.SUCCESS,
    "unsuccessful": ChangeOutcome.FAILURE,
}
"""close_code, by value and by label → outcome."""


class _Request(BaseModel):
    model_config = ConfigDict(coerce_numbers_to_str=True, str_strip_whitespace=True)

    sys_id: Name
    number: Name
    state: Name
    approval: Words = ""
    type: Words = ""
    risk: Words = ""
    short_description: Words = ""
    cmdb_ci: Words = ""
    business_service: Words = ""
    environment: Words = ""
    start_date: Any = None
    end_date: Any = None
    work_start: Any = None
    work_end: Any = None
    close_code: Words = ""
    assigned_to: Words = ""
    url: Words = ""
    sys_updated_on: Any = None


def change_of_request(body: dict[str, Any], message: Message, hook: Hook, *, source: str) -> Change | str:
    """The change, or why the request is none yet. Raises BadPayload without sys_id, number and state.

    Labels: `approved` (true while its window counts as maintenance), `planned_start` and `planned_end` (RFC 3339)."""
    request = shaped(_Request, body)
    state = STATES.get(request.state.lower(), request.state.lower())
    if state in NOT_APPROVED and request.approval.lower() != "approved":
        return f"change request {state}: not approved yet"
    environment = request.environment or environment_in(request.cmdb_ci)
    if why := elsewhere(environment, hook, listed="servicenow_environment"):
        return why.replace("deployment to", "change request for")
    planned, until = first_time(request.start_date), first_time(request.end_date)
    began, ended = first_time(request.work_start), first_time(request.work_end)
    outcome = _outcome(state, request.close_code)
    done = outcome is not ChangeOutcome.RUNNING and state in ("review", "closed", "canceled")
    about = request.cmdb_ci or request.business_service
    change = change_of(
        message,
        hook,
        source=source,
        id=f"servicenow:change_request:{request.sys_id}",
        kind=ChangeKind.CHANGE_REQUEST,
        subject=subject_of(hook.defaults, fallback=_about(about, request.number)),
        outcome=outcome if done else ChangeOutcome.RUNNING,
        began=began or planned or first_time(request.sys_updated_on),
        ended=(ended or until or first_time(request.sys_updated_on)) if done else None,
        environment=environment,
        author=request.assigned_to,
        url=request.url,
        ticket=request.number,
        summary=f"{request.number} {state}: {request.short_description}",
        labels={
            "state": state,
            "approved": "false" if state in ("review", "closed", "canceled") else "true",
            "planned_start": planned.isoformat() if planned else "",
            "planned_end": until.isoformat() if until else "",
            "type": request.type,
            "risk": request.risk,
            "business_service": request.business_service,
        },
    )
    if state in ("review", "closed", "canceled", "implement"):
        return change
    return replace(change, outcome=ChangeOutcome.UNKNOWN)  # approved, and not begun


def _about(name: str, number: str) -> Subject:
    return Subject.of("service", name) if name else Subject.of("unknown", number)


def _outcome(state: str, close_code: str) -> ChangeOutcome:
    if state == "canceled":
        return ChangeOutcome.CANCELED
    if state in ("review", "closed"):
        return OUTCOMES.get(close_code.lower(), ChangeOutcome.UNKNOWN)
    return ChangeOutcome.RUNNING
