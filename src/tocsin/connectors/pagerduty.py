"""Pages people through PagerDuty's Events API v2; with an API token also shows the incident and adds real notes.

One record is one `dedup_key`. A trigger under an open key updates it, so a lost answer is sent again; after a resolve
the same key would page anew, so a re-opened record is refused here (GONE) and the pipeline starts the next generation.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

import orjson
from pydantic import Field, SecretStr, model_validator

from tocsin.connectors._connector import (
    PRODUCT,
    Connection,
    Connector,
    check_address,
    cut,
    done,
    marked,
    marker,
    one_line,
    rejected,
)
from tocsin.connectors._http import Failure, Http, Reply
from tocsin.domain.record import Confirmation, Note, Outcome, Reason, Task, Wanted

MAX_SUMMARY = (
    1024  # over-long summaries are refused, not cut: developer.pagerduty.com/docs/events-api-v2/trigger-events
)
MAX_EVENT_BYTES = 500_000  # the limit is 512 KB for the whole body, same page
MAX_NOTE = 25_000
MAX_LINKS = 10

PdSeverity = Literal["critical", "error", "warning", "info"]
_LOST = (Reason.TIMEOUT, Reason.SERVER_ERROR)


class Config(Connection):
    """One PagerDuty account."""

    url: str = Field(
        default="https://events.pagerduty.com", description="Address of the Events API (EU accounts differ)."
    )
    api_url: str = Field(
        default="https://api.pagerduty.com", description="Address of the REST API, used with api_token."
    )
    routing_keys: dict[str, SecretStr] = Field(
        default_factory=dict, description="Integration keys by name; a team's address names one as routing_key."
    )
    default_routing_key: SecretStr | None = Field(
        default=None, description="Integration key for teams that name none, or one that is not listed."
    )
    severities: dict[str, PdSeverity] = Field(
        default_factory=dict, description="PagerDuty's severity for each of ours that should differ."
    )
    api_token: SecretStr | None = Field(
        default=None, description="REST API token: real notes and links to the incident. Optional."
    )
    from_email: str = Field(default="", description="E-mail of the PagerDuty user in whose name notes are written.")

    @model_validator(mode="after")
    def _api_url_is_usable(self) -> Config:
        check_address("api_url", self.api_url, allow_http=self.allow_http)
        return self


def render(config: Config, wanted: Wanted) -> Mapping[str, object]:
    """The event. `routing_key` holds the key's name: `bring` puts the secret in its place."""
    event: dict[str, object] = {
        "routing_key": wanted.address.get("routing_key", ""),
        "event_action": "resolve" if wanted.status == "resolved" else "trigger",
        "dedup_key": wanted.key,
    }
    if wanted.status == "resolved":
        return event
    severity = str(wanted.severity)
    payload = {
        "summary": one_line(f"{wanted.display} {wanted.title}", MAX_SUMMARY),
        "source": one_line(wanted.ci or wanted.component or wanted.environment or PRODUCT, 255),
        "severity": config.severities.get(severity, severity),
        "timestamp": wanted.opened_at.isoformat(),
        "component": wanted.component,
        "group": wanted.business_service or wanted.environment,
        "class": wanted.category,
        "custom_details": _details(wanted),
    }
    event |= {"payload": {name: value for name, value in payload.items() if value}, "client": PRODUCT}
    if wanted.links:
        event["links"] = [{"href": url, "text": one_line(text, MAX_SUMMARY)} for text, url in wanted.links[:MAX_LINKS]]
    return event


def _details(wanted: Wanted) -> dict[str, object]:
    details = {
        "incident": wanted.display,
        "description": wanted.body,
        "team": wanted.team,
        "environment": wanted.environment,
        "previous": wanted.previous,
        **wanted.details,
    }
    return {name: value for name, value in details.items() if value not in ("", None)}


def bring(config: Config, task: Task, http: Http) -> Outcome:
    """Trigger, update, annotate or resolve one alert."""
    name = str(task.sent.get("routing_key", task.wanted.address.get("routing_key", "")))
    key = config.routing_keys.get(name) or config.default_routing_key
    if key is None:
        return rejected(
            Reason.CLIENT_ERROR, f"routing key {name!r} is not in routing_keys; add it, or set default_routing_key"
        )
    page = _Page(config, task, http, name, key.get_secret_value())
    return page.resolve() if task.wanted.status == "resolved" else page.trigger()


@dataclass(slots=True)
class _Incident:
    """What the REST API shows of it."""

    id: str
    number: str
    url: str
    status: str


@dataclass(slots=True)
class _Page:
    """One attempt to bring one page to its wanted state."""

    config: Config
    task: Task
    http: Http
    routing_name: str
    routing_key: str
    incident: _Incident | None = None
    detail: str = ""
    dropped: tuple[str, ...] = ()

    @property
    def known(self) -> bool:
        """Whether a trigger went out, or may have: also by an earlier attempt that died before it could tell."""
        task = self.task
        return bool(task.external_id or task.sent_wanted or task.ambiguous_since or task.attempts > 1)

    def trigger(self) -> Outcome:
        """Open or update it. Notes go by REST where the incident can be seen, else inside the event."""
        if self.task.sent.get("event_action") == "resolve":
            return rejected(Reason.GONE, "closed: a trigger under a resolved key would page anew", self.confirmation())
        if self.known:
            self.look_up()
        if self.incident and self.incident.status == "resolved":
            return rejected(Reason.GONE, "closed by a person or rule in PagerDuty", self.confirmation())
        event = dict(render(self.config, self.task.wanted))
        notes = self.task.notes
        if self.incident and notes:
            stop = self.annotate()
            if isinstance(stop, Outcome):
                return stop
            notes = stop
        if notes or self.sent(event) != self.task.sent:
            lost = self.enqueue(_with_updates(event, notes))
            if lost:
                return lost
        if not self.task.url:
            self.look_up()
        return done(self.confirmation(self.sent(event)), detail=self.detail)

    def resolve(self) -> Outcome:
        """Close it. Nothing was ever sent: nothing to close (a resolve without an alert is dropped silently)."""
        event = dict(render(self.config, self.task.wanted))
        if not self.known:
            return done(self.confirmation(self.sent(event)), detail="never triggered; nothing to resolve")
        if self.task.notes or self.task.when_human_touched == "note_only":
            self.look_up()
        if self.incident and self.task.notes:
            stop = self.annotate()
            if isinstance(stop, Outcome):
                return stop
        if self.task.when_human_touched == "note_only" and self.touched:
            return done(self.confirmation(), detail="acknowledged by a person: left to them to resolve")
        if self.sent(event) != self.task.sent:
            lost = self.enqueue(event)
            if lost:
                return lost
        return done(self.confirmation(self.sent(event)), detail=self.detail)

    def sent(self, event: Mapping[str, Any]) -> dict[str, object]:
        """Which of the event's fields decide whether it must be sent again; texts alone do not."""
        fields = {"event_action": event["event_action"], "routing_key": self.routing_name}
        severity = event.get("payload", {}).get("severity")
        return {**fields, "severity": severity} if severity else fields

    @property
    def touched(self) -> bool:
        return self.incident is not None and self.incident.status != "triggered"

    def confirmation(self, sent: Mapping[str, object] | None = None) -> Confirmation:
        """What is known by now; `sent` where an event was accepted (202: taken, not proof of an incident)."""
        task, incident = self.task, self.incident
        return Confirmation(
            external_id=task.wanted.key,
            number=incident.number if incident else task.number,
            url=incident.url if incident else task.url,
            sent=task.sent if sent is None else sent,
            observed={"status": incident.status} if incident else dict(sent or task.observed),
            notes=tuple(note.id for note in task.notes) if sent is not None else (),
            dropped_fields=self.dropped,
            human_touched=self.touched,
        )

    def enqueue(self, event: Mapping[str, object]) -> Outcome | None:
        """Send one event; a refused one goes once more without its trimmings, so that the page still goes out."""
        answer = self._post(fitting(event))
        if isinstance(answer, Reply):
            return None
        if answer.status in (400, 413) and "payload" in event:
            again = self._post(minimal(event))
            if isinstance(again, Reply):
                self.dropped = tuple(sorted(set(event) - set(minimal(event))))
                self.detail = cut(f"sent without details after {answer.detail}", 500)
                return None
            answer = again
        if answer.result == "retry" and answer.reason in _LOST:
            answer = replace(answer, result="ambiguous")  # it may have paged: a later resolve must still go out
        return answer.outcome(self.confirmation() if self.task.external_id or self.incident else None)

    def _post(self, event: Mapping[str, object]) -> Reply | Failure:
        body = {**event, "routing_key": self.routing_key}
        answer = self.http.call("POST", f"{self.config.root}/v2/enqueue", idempotent=True, json=body)
        if isinstance(answer, Reply) and not (isinstance(answer.body, dict) and answer.body.get("status") == "success"):
            return Failure("ambiguous", Reason.BAD_ANSWER, answer.status, "the answer is not the Events API's")
        return answer

    def _rest(self, method: Literal["GET", "POST"], path: str, **given: Any) -> Reply | Failure:  # noqa: ANN401
        assert self.config.api_token is not None
        headers = {
            "Authorization": f"Token token={self.config.api_token.get_secret_value()}",
            "Accept": "application/vnd.pagerduty+json;version=2",
        }
        if method == "POST" and self.config.from_email:
            headers["From"] = self.config.from_email
        url = self.config.api_url.rstrip("/") + path
        return self.http.call(method, url, idempotent=method == "GET", headers=headers, **given)

    def look_up(self) -> None:
        """Find the incident by its key, where a token allows; a failed look-up costs only the link."""
        if self.config.api_token is None:
            return
        key = self.task.wanted.key
        answer = self._rest("GET", "/incidents", params={"incident_key": key, "date_range": "all", "limit": "5"})
        if isinstance(answer, Failure):
            self.detail = cut(f"incident not looked up: {answer.detail}", 500)
            return
        rows = [row for row in _rows(answer.body, "incidents") if row.get("incident_key") == key]
        if rows:
            row = next((one for one in rows if one.get("status") != "resolved"), rows[0])
            self.incident = _Incident(
                id=str(row.get("id", "")),
                number=str(row.get("incident_number", "")),
                url=str(row.get("html_url") or ""),
                status=str(row.get("status", "")),
            )

    def annotate(self) -> tuple[Note, ...] | Outcome:
        """Add the notes that are not there yet. Answers those that REST refuses: they go inside an event instead."""
        assert self.incident is not None
        path = f"/incidents/{self.incident.id}/notes"
        answer = self._rest("GET", path)
        there = (
            "" if isinstance(answer, Failure) else "\n".join(str(n.get("content")) for n in _rows(answer.body, "notes"))
        )
        for place, note in enumerate(self.task.notes):
            if isinstance(answer, Reply) and marker(note) in there:
                continue
            if isinstance(answer, Reply):
                answer = self._rest("POST", path, json={"note": {"content": marked(note, MAX_NOTE)}})
            if isinstance(answer, Failure):
                if answer.result == "rejected":
                    self.detail = cut(f"notes sent inside an event: {answer.detail}", 500)
                    return self.task.notes[place:]
                arrived = tuple(n.id for n in self.task.notes[:place])
                return answer.outcome(replace(self.confirmation(), notes=arrived))
        return ()


def _rows(body: object, name: str) -> list[dict[str, Any]]:
    rows = body.get(name) if isinstance(body, dict) else None
    return [row for row in rows if isinstance(row, dict)] if isinstance(rows, list) else []


def _with_updates(event: dict[str, Any], notes: tuple[Note, ...]) -> dict[str, Any]:
    """The event with the notes among its details: Events v2 knows no notes."""
    if not notes or "payload" not in event:
        return event
    payload = event["payload"]
    details = {**payload.get("custom_details", {}), "updates": [cut(note.text, MAX_NOTE) for note in notes]}
    return {**event, "payload": {**payload, "custom_details": details}}


def minimal(event: Mapping[str, Any]) -> dict[str, Any]:
    """The least that still pages: what Events v2 requires and nothing else."""
    payload = event["payload"]
    kept = {name: payload[name] for name in ("summary", "source", "severity")}
    return {**{name: event[name] for name in ("routing_key", "event_action", "dedup_key")}, "payload": kept}


def fitting(event: Mapping[str, Any]) -> Mapping[str, Any]:
    """The event within 500 KB: the largest details are left out by name until it fits."""
    if "payload" not in event or _size(event) < MAX_EVENT_BYTES:
        return event
    details = dict(event["payload"].get("custom_details", {}))
    left_out: list[str] = []
    smaller = dict(event)
    while details and _size(smaller) >= MAX_EVENT_BYTES:
        largest = max(details, key=lambda name: _size(details[name]))
        del details[largest]
        left_out.append(str(largest))
        shown = {**details, "left_out_for_size": left_out[:50]}
        smaller["payload"] = {**event["payload"], "custom_details": shown}
    return smaller


def _size(value: object) -> int:
    return len(orjson.dumps(value, default=str, option=orjson.OPT_NON_STR_KEYS))


CONNECTOR = Connector(
    kind="pagerduty",
    title="PagerDuty",
    Config=Config,
    render=render,
    bring=bring,
    expects=("routing_key",),
    reopens=False,
)
