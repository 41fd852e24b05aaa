"""Which error of an application does Raygun report, and which was resolved?

`event` says notification or activity, `eventType` which; the same error comes again at 1, 5, 10, 30 and 60 minutes.
Times may lack their zone (UTC). Nothing is signed.
https://raygun.com/documentation/product-guides/crash-reporting/integrations/webhooks/
"""

from __future__ import annotations

from datetime import timedelta

from tocsin.domain.alert import Resolves, Severity, Status, Symptom
from tocsin.domain.message import Hook, Message, Normalized, Source
from tocsin.domain.subject import Subject
from tocsin.sources._flat import Fields, alert, fields_of, tags_of
from tocsin.sources._verify import shared_secret

NAME = "raygun"
EXPIRES_AFTER = timedelta(hours=24)
"""Most errors are never resolved by hand: a day without another report ends one."""

NEW = ("NewErrorOccurred", "ErrorReoccurred")
OVER = frozenset({"resolved", "ignored", "permanentlyignored", "permanently ignored", "ignoredpermanently", "archived"})
IGNORED = {
    "CommentAdded": "comment on an error: not a symptom",
    "AssignedToUser": "assignment of an error: not a symptom",
}


def normalize(message: Message, hook: Hook) -> Normalized:
    """The error's state. Raises BadPayload without the kind of event or the error's address."""
    body = fields_of(message)
    event, kind = body.need("event"), body.text("eventType")
    if kind in IGNORED:
        return Normalized(ignored=IGNORED[kind])
    known = kind in NEW or kind.endswith("FollowUp") or kind == "StatusChanged"
    if event not in ("error_notification", "error_activity") or not known:
        return Normalized(ignored=f"event {event[:40]} {kind[:40]}: it tells of no symptom".replace("  ", " "))
    error, application = body.need_inner("error"), body.inner("application")
    status = error.text("status").lower()
    over = kind == "StatusChanged" and status in OVER
    service = application.text("name")
    address = error.text("url") or error.need("message")
    name = error.text("message") or f"error {address.rstrip('/').rpartition('/')[2]}"
    instance = error.inner("instance")
    at = error.time("activityDate" if kind == "StatusChanged" else "lastOccurredOn")
    told = alert(
        message,
        hook,
        source=NAME,
        name=name,
        subject=Subject.of("service", service or name),
        status=Status.RESOLVED if over else Status.FIRING,
        severity=Severity.ERROR,
        summary=_summary(kind, name, service, status),
        symptom=Symptom.ERRORS,
        starts_at=None if over else (error.time("firstOccurredOn") if kind == "NewErrorOccurred" else at) or at,
        ends_at=at,
        tags=tags_of(instance.data.get("tags")),
        labels={
            "application": service,
            "event_type": kind,
            "users_affected": error.text("usersAffected"),
            "occurrences": error.text("totalOccurrences"),
            "first_occurred": error.text("firstOccurredOn"),
            "status": status,
        },
        links={"error": error.text("url"), "application": application.text("url")},
        sample_size=_count(error),
        sender_key=address,
        known_by=f"error:{address}",
        expires_after=EXPIRES_AFTER,
    )
    return Normalized(alerts=(told,))


def _summary(kind: str, name: str, service: str, status: str) -> str:
    what = {"NewErrorOccurred": "new error", "ErrorReoccurred": "error is back"}.get(kind, "error goes on")
    if kind == "StatusChanged":
        what = f"error is {status or 'changed'}"
    return f"{service}: {what}: {name}" if service else f"{what}: {name}"


def _count(error: Fields) -> int | None:
    count = error.number("totalOccurrences")
    return int(count) if count is not None and 0 <= count < 2**63 else None


SOURCE = Source(
    name=NAME,
    title="Raygun",
    verify=shared_secret,
    normalize=normalize,
    resolves=Resolves.SENDER,
    expires_after=EXPIRES_AFTER,
    ignores=("comments and assignments", "events of other kinds"),
    setup="""\
In the application: Integrations → **Webhook**, endpoint `{url}?token={secret}`. Raygun signs nothing, so the secret
stands in the address. The application is the service; tags with a colon (`env:staging`, `service:checkout`) become
labels. An error ends when it is resolved or ignored, or a day after its last report.
""",
)
