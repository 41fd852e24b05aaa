"""Which error, site, check-in or alarm does Honeybadger report, and what was deployed?

`event` names it; payload versions 2 and 3 carry the same objects. Nothing is signed.
https://docs.honeybadger.io/guides/integrations/payloads/v2/
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

from tocsin.domain.alert import Resolves, Severity, Status, Symptom
from tocsin.domain.change import ChangeKind, ChangeOutcome
from tocsin.domain.message import Hook, Message, Normalized, Source
from tocsin.domain.subject import Subject
from tocsin.sources._flat import Fields, alert, change, fields_of, symptom_of_service, tags_of
from tocsin.sources._verify import shared_secret

NAME = "honeybadger"

FAULT_EXPIRES_AFTER = timedelta(hours=24)
"""An error that nobody resolves by hand is over when a day passes without another."""
CERTIFICATE_REMINDER = timedelta(days=8)

IGNORED = {
    "assigned": "event assigned: who looks at an error is not a symptom",
    "commented": "event commented: a comment on an error is not a symptom",
    "test": "Honeybadger's test of the webhook",
}


def normalize(message: Message, hook: Hook) -> Normalized:
    """What the event tells. Raises BadPayload when the object of its kind is absent."""
    body = fields_of(message)
    kind = body.need("event").lower()
    if kind in IGNORED:
        return Normalized(ignored=IGNORED[kind])
    read = READERS.get(kind)
    if read is None:
        return Normalized(ignored=f"event {kind[:40]}: it tells of no symptom")
    return read(body, kind, message, hook)


def _project(body: Fields) -> str:
    return body.inner("project").text("name") or body.text("message").removeprefix("[").partition("]")[0].split("/")[0]


def _fault(body: Fields, kind: str, message: Message, hook: Hook) -> Normalized:
    fault = body.need_inner("fault")
    klass = fault.need("klass", "message")
    project = _project(body)
    over = kind == "resolved"
    notice = body.inner("notice")
    place = ".".join(filter(None, (fault.text("component"), fault.text("action"))))
    # A reopened fault keeps the time of its last notice, which lies before its end: then the receipt's order rules.
    at = None if kind == "unresolved" else fault.time("last_notice_at", "created_at")
    told = alert(
        message,
        hook,
        source=NAME,
        name=klass,
        subject=Subject.of("service", project or klass),
        status=Status.RESOLVED if over else Status.FIRING,
        severity=Severity.CRITICAL if kind == "rate_exceeded" else Severity.ERROR,
        summary=body.text("message") or f"{klass}: {fault.text('message')}",
        description=fault.text("message"),
        symptom=Symptom.ERRORS,
        starts_at=None if over else at,
        tags=tags_of(fault.data.get("tags")),
        labels={
            "environment": fault.text("environment"),
            "project": project,
            "place": place,
            "notices": fault.text("notices_count"),
            "assignee": fault.text("assignee"),
        },
        links={"fault": fault.text("url"), "notice": notice.text("url")},
        resource=place,
        sample_size=_count(fault),
        sender_key=fault.text("id") or klass,
        known_by=f"fault:{fault.text('id') or klass}",
        expires_after=FAULT_EXPIRES_AFTER,
    )
    return Normalized(alerts=(told,))


def _count(fault: Fields) -> int | None:
    count = fault.number("notices_count")
    return int(count) if count is not None and 0 <= count < 2**63 else None


def _site(body: Fields, kind: str, message: Message, hook: Hook) -> Normalized:
    site, outage = body.need_inner("site"), body.inner("outage")
    name = site.need("name", "url")
    if kind == "up" and not outage.text("down_at") and site.text("state") in ("pending", ""):
        return Normalized(ignored="event up without an outage: the uptime check was only set up")
    reason = outage.text("reason")
    told = alert(
        message,
        hook,
        source=NAME,
        name=name,
        subject=Subject.of("service", name),
        status=Status.RESOLVED if kind == "up" else Status.FIRING,
        severity=Severity.CRITICAL,
        summary=f"{name} is {kind}" + (f": {reason}" if reason and kind == "down" else ""),
        description=body.text("message"),
        symptom=Symptom.AVAILABILITY,
        starts_at=outage.time("down_at"),
        ends_at=outage.time("up_at") or site.time("last_checked_at"),
        labels={"target": site.text("url"), "status": outage.text("status"), "project": _project(body)},
        links={"target": site.text("url"), "site": site.text("details_url")},
        sender_key=site.text("id") or name,
        known_by=f"site:{site.text('id') or name}",
    )
    return Normalized(alerts=(told,))


def _certificate(body: Fields, kind: str, message: Message, hook: Hook) -> Normalized:
    site = body.need_inner("site")
    name = site.need("name", "url")
    told = alert(
        message,
        hook,
        source=NAME,
        name=f"{name}: certificate",
        subject=Subject.of("service", name),
        status=Status.FIRING,
        severity=Severity.WARNING,
        summary=body.text("message") or f"The certificate of {name} ends soon",
        symptom=Symptom.AVAILABILITY,
        labels={"target": site.text("url"), "expires": site.text("cert_expires_at"), "project": _project(body)},
        links={"target": site.text("url"), "site": site.text("details_url")},
        sender_key=f"{site.text('id') or name}:certificate",
        resolves=Resolves.EXPIRY,
        expires_after=CERTIFICATE_REMINDER,
    )
    return Normalized(alerts=(told,))


def _check_in(body: Fields, kind: str, message: Message, hook: Hook) -> Normalized:
    check = body.need_inner("check_in")
    name = check.need("name", "id")
    over = kind == "check_in_reporting"
    told = alert(
        message,
        hook,
        source=NAME,
        name=f"check-in of {name}",
        subject=Subject.of("job", name),
        status=Status.RESOLVED if over else Status.FIRING,
        severity=Severity.ERROR,
        summary=body.text("message") or f"{name} has not checked in",
        symptom=Symptom.AVAILABILITY,
        starts_at=None if over else _missed(check),
        ends_at=check.time("reported_at"),
        labels={
            "expected_at": check.text("expected_at"),
            "reported_at": check.text("reported_at"),
            "missed": check.text("missed_count"),
            "schedule": check.text("cron_schedule", "schedule_type"),
            "project": _project(body),
        },
        links={"check_in": check.text("details_url")},
        sender_key=check.text("id") or name,
        known_by=f"check_in:{check.text('id') or name}",
    )
    return Normalized(alerts=(told,))


def _missed(check: Fields) -> datetime | None:
    """When the report was due with its grace; `expected_at` is already the next one."""
    reported, period = check.time("reported_at"), check.number("report_period")
    grace = check.number("grace_period") or 0.0
    if reported and period and 0 < period + grace < 32 * 86400:
        return reported + timedelta(seconds=period + grace)
    return check.time("missed_at")


def _alarm(body: Fields, kind: str, message: Message, hook: Hook) -> Normalized:
    alarm = body.need_inner("alarm")
    name = alarm.need("name", "id")
    over = kind == "alarm_ok"
    at = alarm.time("triggered_at", "last_checked_at")  # version 2 tells no time but that of the alarm's creation
    told = alert(
        message,
        hook,
        source=NAME,
        name=name,
        subject=Subject.of("service", _project(body) or name),
        status=Status.RESOLVED if over else Status.FIRING,
        severity=Severity.ERROR,
        summary=body.text("message") or name,
        description=alarm.text("description"),
        symptom=symptom_of_service(name, alarm.text("description")),
        starts_at=None if over else at,
        ends_at=at,
        labels={"project": _project(body), "query": alarm.text("query")},
        links={"alarm": alarm.text("url", "details_url")},
        sender_key=alarm.text("id") or name,
        known_by=f"alarm:{alarm.text('id') or name}",
    )
    return Normalized(alerts=(told,))


def _volume(body: Fields, kind: str, message: Message, hook: Hook) -> Normalized:
    project, spike = _project(body) or body.need("project"), body.inner("volume_spike")
    told = alert(
        message,
        hook,
        source=NAME,
        name="error volume spike",
        subject=Subject.of("service", project),
        status=Status.FIRING,
        severity=Severity.ERROR,
        summary=body.text("message") or f"{project}: more errors than usual",
        symptom=Symptom.ERRORS,
        labels={"project": project, "factor": spike.text("factor"), "window_minutes": spike.text("window_minutes")},
        metric="errors",
        observed=spike.number("observed"),
        baseline=spike.number("baseline_median"),
        sender_key=f"{project}:volume",
        resolves=Resolves.EXPIRY,
        expires_after=FAULT_EXPIRES_AFTER,
    )
    return Normalized(alerts=(told,))


def _deployed(body: Fields, kind: str, message: Message, hook: Hook) -> Normalized:
    deploy = body.need_inner("deploy")
    project = _project(body) or deploy.text("repository")
    at = deploy.time("created_at")
    made = change(
        message,
        hook,
        source=NAME,
        id=f"deploy:{deploy.text('id') or deploy.text('revision')}:{at}",
        kind=ChangeKind.SERVICE_DEPLOYED,
        subject=Subject.of("service", project or deploy.need("repository")),
        occurred_at=at,
        finished_at=at,
        outcome=ChangeOutcome.SUCCESS,
        version=deploy.text("revision"),
        author=deploy.text("local_username"),
        url=deploy.text("url", "changelog_url"),
        summary=body.text("message") or f"{project} deployed",
        labels={"environment": deploy.text("environment"), "repository": deploy.text("repository")},
    )
    return Normalized(changes=(made,))


READERS: dict[str, Callable[[Fields, str, Message, Hook], Normalized]] = {
    "occurred": _fault,
    "unresolved": _fault,
    "resolved": _fault,
    "rate_exceeded": _fault,
    "volume_spike": _volume,
    "down": _site,
    "up": _site,
    "cert_will_expire": _certificate,
    "check_in_missing": _check_in,
    "check_in_reporting": _check_in,
    "alarm_alert": _alarm,
    "alarm_ok": _alarm,
    "deployed": _deployed,
}

SOURCE = Source(
    name=NAME,
    title="Honeybadger",
    verify=shared_secret,
    normalize=normalize,
    resolves=Resolves.SENDER,
    ignores=(
        "assignments and comments",
        "*up* without an outage: an uptime check that was only set up",
        "test events",
    ),
    setup="""\
Project settings → Alerts & Integrations → **WebHook**: URL `{url}?token={secret}`, all events of errors, uptime,
check-ins, alarms and deploys. Honeybadger signs nothing, so the secret stands in the address. The project is the
service, a check-in is a job. An error ends when it is resolved, or a day after its last report.
""",
)
