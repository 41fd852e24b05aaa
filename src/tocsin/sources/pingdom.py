"""Which Pingdom check went down or came back?

One check per body; nothing is signed. Uptime checks say UP or DOWN, transaction checks SUCCESS or FAILING.
https://docs.solarwinds.com/pingdom/ (Webhooks)
"""

from __future__ import annotations

from tocsin.domain.alert import Resolves, Severity, Status, Symptom
from tocsin.domain.errors import BadPayload
from tocsin.domain.message import Hook, Message, Normalized, Source
from tocsin.domain.subject import Subject
from tocsin.sources._flat import Fields, alert, fields_of, tags_of
from tocsin.sources._json import parsed_object
from tocsin.sources._verify import shared_secret

NAME = "pingdom"

STATES = {
    "DOWN": Status.FIRING,
    "FAILING": Status.FIRING,
    "FAILED": Status.FIRING,
    "FAILURE": Status.FIRING,
    "UP": Status.RESOLVED,
    "SUCCESS": Status.RESOLVED,
    "SUCCEEDING": Status.RESOLVED,
}
NO_STATES = {
    "PAUSED": "check paused: it says nothing about the service",
    "UNKNOWN": "state unknown: Pingdom could not tell",
    "UNCONFIRMED_DOWN": "not confirmed yet: DOWN follows if it is",
}
SEVERITIES = {"HIGH": Severity.CRITICAL, "LOW": Severity.WARNING}
"""importance_level; bodies of older checks have none, and down is down."""


def normalize(message: Message, hook: Hook) -> Normalized:
    """The check's new state. Raises BadPayload without check_name or with an unknown current_state."""
    body = _current(fields_of(message))
    name = body.need("check_name")
    state = body.need("current_state").upper()
    if state in NO_STATES:
        return Normalized(ignored=NO_STATES[state])
    if state not in STATES:
        raise BadPayload(f"{state[:40]!r} is no state of a check", path="current_state")
    status = STATES[state]
    at = body.time("state_changed_timestamp", "state_changed_utc_time")
    params, probe = body.inner("check_params"), body.inner("first_probe")
    why = body.text("long_description") or body.text("description")
    told = alert(
        message,
        hook,
        source=NAME,
        name=name,
        subject=Subject.of("service", name),
        status=status,
        severity=SEVERITIES.get(body.text("importance_level").upper(), Severity.CRITICAL),
        summary=f"{name} is {state.lower()}" + (f": {why}" if why and status is Status.FIRING else ""),
        description=body.text("custom_message"),
        symptom=Symptom.AVAILABILITY,
        starts_at=at if status is Status.FIRING else None,
        ends_at=at,
        tags=tags_of(body.data.get("tags")),
        labels={
            "check_type": body.text("check_type"),
            "target": params.text("full_url", "hostname"),
            "probe": probe.text("location"),
            "previous_state": body.text("previous_state"),
            "reason": body.text("description"),
        },
        links={"target": params.text("full_url")},
        sender_key=body.text("check_id"),
    )
    return Normalized(alerts=(told,))


def _current(body: Fields) -> Fields:
    """The body; one of the older BeepManager, JSON in the variable `message`, under the names of today."""
    told = body.data.get("message")
    if "current_state" in body or not isinstance(told, str) or not told.lstrip().startswith("{"):
        return body
    old = Fields(parsed_object(told.encode("utf-8", "replace")), "message")
    return Fields(
        {
            "check_id": old.text("check", "checkid"),
            "check_name": old.text("checkname", "host"),
            "current_state": old.text("description"),
            "check_params": {"hostname": old.text("host")},
        },
        "message",
    )


SOURCE = Source(
    name=NAME,
    title="SolarWinds Pingdom",
    verify=shared_secret,
    normalize=normalize,
    resolves=Resolves.SENDER,
    ignores=("paused checks", "states that Pingdom has not confirmed or does not know"),
    setup="""\
Integrations → Add → Webhook, URL `{url}?token={secret}`; then tick the integration in each check. Pingdom signs
nothing, so the secret stands in the address.

Tags with a colon on the check become labels: `service:checkout`, `env:staging`. Without one the check's name is the
service. An importance of *Low* is a warning, otherwise down is critical.
""",
)
