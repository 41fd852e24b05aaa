"""Splunk: the webhook alert action's fixed body, and the body of a custom alert action.

https://docs.splunk.com/Documentation/Splunk/latest/Alert/Webhooks
One POST holds the first row of the result (or each row, with *For each result*). Splunk never says that it is over.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from tocsin.domain.alert import Alert, Resolves, Severity, Status
from tocsin.domain.errors import BadPayload
from tocsin.domain.message import Hook, Message, Normalized, Source
from tocsin.domain.subject import Subject
from tocsin.sources._flat import Fields, objects
from tocsin.sources._identity import first_of, resource_of, severity_of
from tocsin.sources._json import kind_of, parsed_object, text
from tocsin.sources._monitor import alert_of, any_time, filled
from tocsin.sources._report import worst_first
from tocsin.sources._verify import shared_secret

NAME = "splunk"
UNNAMED = "unnamed search"

EXPIRES_AFTER = timedelta(hours=24)
"""A search that finds nothing sends nothing; triggers are commonly throttled for up to a day."""

SEVERITY_FIELDS = ("severity", "urgency", "alert_severity", "severity_label", "priority", "risk_level")
NUMBERED = {
    "1": Severity.INFO,
    "2": Severity.INFO,
    "3": Severity.WARNING,
    "4": Severity.ERROR,
    "5": Severity.CRITICAL,
    "6": Severity.CRITICAL,
}
"""Splunk's own scale of an alert's severity: debug, info, warn, error, severe, fatal (savedsearches.conf)."""

STATUS_FIELDS = ("alert_status", "alert_state", "status", "state")
ENDED = frozenset({"resolved", "recovered", "recovery", "cleared", "closed", "normal"})
"""Words by which a row says that it is over: a search of one's own may send them; Splunk itself has none."""

PLUMBING = frozenset(
    {"punct", "linecount", "timestartpos", "timeendpos", "splunk_server", "splunk_server_group", "eventtype", "tag"}
    | {"session_key", "token", "password", "user", "USER"}
)
"""Fields that every row carries and that say nothing of the symptom, and what must not be kept. Fields that begin with
`_`, `date_`, `tag::` or `info_` are such too."""

_SID = re.compile(r"^(?:rt_)?scheduler__(?:.*__)?(?P<name>.+?)_at_(?P<at>\d{9,10})(?:_|$)")
_HASHED = re.compile(r"RMD5[0-9a-f]{8,32}")


def normalize(message: Message, hook: Hook) -> Normalized:
    """One alert a row. Raises BadPayload when the body has neither a search id nor a result."""
    body = Fields(parsed_object(message.body))
    if not body.text("sid") and not isinstance(body.data.get("result"), dict) and "results" not in body:
        raise BadPayload("neither a search id nor a result: no body of a Splunk alert", path="sid")
    rows = objects(body.data["results"], "results") if "results" in body else [Fields(_row(body), "result")]
    if not rows:
        return Normalized(ignored="the search found nothing")
    return Normalized(alerts=worst_first(_alert(body, row.data, message, hook) for row in rows))


def _row(body: Fields) -> dict[str, Any]:
    result = body.data.get("result")
    if result is None or result == "":
        return {}
    if not isinstance(result, dict):
        raise BadPayload(f"expected an object, found {kind_of(result)}", path="result")
    return result


def _alert(body: Fields, row: Mapping[str, Any], message: Message, hook: Hook) -> Alert:
    settings = filled(body.inner("configuration").data if isinstance(body.data.get("configuration"), dict) else {})
    settings = {key: value for key, value in settings.items() if not _is_plumbing(key)}
    scheduled = _SID.match(body.text("sid", limit=1024))
    name = body.text("search_name", "name") or (scheduled["name"] if scheduled else "")
    if not name or _HASHED.fullmatch(name):
        name = f"{UNNAMED} {name or _job(body)}".rstrip()
    labels = filled({key: value for key, value in row.items() if not _is_plumbing(key)}) | settings
    claims = dict(labels)
    labels |= filled({"splunk_app": body.text("app"), "sid": body.text("sid")})
    said = first_of({key: value.lower() for key, value in labels.items()}, STATUS_FIELDS)
    status = Status.RESOLVED if said in ENDED else Status.FIRING
    at = any_time(row.get("_time"), row.get("_indextime"), scheduled["at"] if scheduled else None)
    words = settings.get("message") or text(row.get("message")) or text(row.get("_raw"), 300)
    return alert_of(
        message,
        hook,
        source=NAME,
        name=name,
        about=Subject.of("unknown", name[:255]),
        status=status,
        severity=_severity(labels),
        labels=labels,
        claims=claims,
        summary=f"{name[:300]}: {words}" if words else name,
        starts_at=None if status is Status.RESOLVED else at,
        ends_at=at,
        resource=resource_of(claims),
        links={"results": text(body.data.get("results_link"), 2048), "search": text(body.data.get("search_uri"), 2048)},
        resolves=Resolves.EXPIRY,
        expires_after=EXPIRES_AFTER,
    )


def _job(body: Fields) -> str:
    """What the runs of one search have in common in their ids; empty for a search that a person ran by hand."""
    stem, scheduled, _ = body.text("sid").partition("_at_")
    return stem if scheduled else ""


def _severity(labels: Mapping[str, str]) -> Severity:
    word = first_of(labels, SEVERITY_FIELDS)
    return NUMBERED.get(word) or severity_of(word)


def _is_plumbing(field: str) -> bool:
    return field in PLUMBING or field.startswith(("_", "date_", "tag::", "info_"))


def _delivery(message: Message) -> str:
    """The search job's id with the row: with *For each result* several posts share one search id."""
    try:
        sid = text(parsed_object(message.body).get("sid"), 200)
    except BadPayload:
        return ""
    return f"{sid}:{hashlib.blake2b(message.body, digest_size=8).hexdigest()}" if sid else ""


SOURCE = Source(
    name=NAME,
    title="Splunk",
    verify=shared_secret,
    normalize=normalize,
    resolves=Resolves.EXPIRY,
    expires_after=EXPIRES_AFTER,
    message_id=_delivery,
    ignores=("a custom action's body with an empty list of results",),
    setup="""\
Save the search as an alert → Add Actions → **Webhook**, URL `{url}?token={secret}`. The action can neither sign nor set
headers, so that the secret stands in the address; Splunk 9 and later also wants the address in the allow list of
Settings → Server settings → Webhook.

- Name the search for what is wrong; trigger *For each result* when one search watches several things.
- Let the search end in fields that say it: `| eval severity="high", service="checkout", observed=count, threshold=50`
  (or `model`, `feature`, `dataset`, `symptom`).
- Splunk posts once: what fails is only in its own log, `index=_internal sourcetype=splunkd sendmodalert`.
- Splunk never says that it is over: an alert ends a day after its last report. A search of your own that finds the
  recovery may send a row with `status="resolved"` under the same search name and fields.
""",
)
