"""What does a batch of messages say? Normalized, subjects by the catalogue's names, texts redacted; or quarantined."""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

from prometheus_client import Counter
from pydantic import TypeAdapter

from tocsin.bootstrap import Active
from tocsin.connectors import find as find_connector
from tocsin.decide.mirror import mirrored
from tocsin.decide.people import cleaned
from tocsin.domain.alert import Alert, Resolves, Severity, Status, Symptom
from tocsin.domain.audit import AuditEntry
from tocsin.domain.errors import BadPayload
from tocsin.domain.message import KEY_URL, Message, Normalized, Source, Verdict
from tocsin.domain.policy import Destination, Mode
from tocsin.domain.subject import Subject
from tocsin.sources import of as source_of
from tocsin.store.courses import Brought
from tocsin.store.errands import KEY, VISIT, Errand
from tocsin.store.inbox import Claimed, Quarantined, Signal, Understood

MESSAGES = Counter("tocsin_messages_understood_total", "Messages by what became of them", ["source", "outcome"])
ALERTS = Counter("tocsin_alerts_received_total", "Alerts read in messages", ["source"])


MAX_RENAMED = 20
"""Names that one audit line lists."""
log = logging.getLogger(__name__)

_NO_CHECK = Verdict(verdict="refused", reason="the hook's source checks no keys any more")

YES_OR_NO = TypeAdapter(bool)
"""An option of a connector stands in the mappings as text."""


def signal_of(message: Message, environment: str, seq: int, kind: str, payload: object) -> Signal:
    """One thing that a message said, on its way to the environment's writer."""
    return Signal(
        environment=environment,
        received_at=message.received_at,
        message_id=message.id,
        seq=seq,
        kind=kind,
        payload=payload,
    )


def signal_of_ours(signal_id: UUID, alert: Alert) -> Signal:
    """An alert of our own, on its way like any other; it has no message."""
    return Signal(
        environment=alert.environment,
        received_at=alert.received_at,
        message_id=signal_id,
        seq=0,
        kind="alert",
        payload=alert,
    )


def understood_as(message: Message, outcome: str, because: dict[str, object], version: int = 0) -> AuditEntry:
    """The audit line that names what became of a message; counted too."""
    MESSAGES.labels(message.source, outcome).inc()
    return AuditEntry(
        at=message.received_at,
        action="message.understood",
        reason=outcome,
        environment=message.environment,
        message_id=message.id,
        mapping_version=version,
        because=because,
    )


class Reading:
    """What a batch of messages says, collected message by message."""

    def __init__(self, *, active: Active, keys: Mapping[str, bytes] | None = None) -> None:
        self._active = active
        self._keys = keys or {}
        self.waiting: list[tuple[Claimed, str]] = []
        """Messages whose signature cannot be checked yet, each with the address of the key that it needs."""
        self.errands: list[Errand] = []
        self._catalog = active.mappings.catalog
        self._redactor = active.redactor
        self._signals: list[Signal] = []
        self._normalized: list[Normalized] = []
        self._quarantined: list[Quarantined] = []
        self._audit: list[AuditEntry] = []
        self._brought: list[tuple[UUID, Brought]] = []
        self.sender_ids: dict[UUID, tuple[str, str]] = {}

    def read(self, claimed: Claimed) -> None:
        """Take in one message; what does not fit its producer's documents is put aside."""
        message = claimed.message
        hook = self._active.mappings.hooks.get(message.hook)
        try:
            if hook is None:
                raise BadPayload(f"hook {message.hook} is no longer declared; declare it again and replay")
            source = source_of(hook)
            if not self._may_be_read(claimed, source):
                return
            said = source.normalize(message, hook)
            sender_id = source.message_id(message)
        except BadPayload as error:
            self._put_aside(message, error)
            return
        if sender_id:
            self.sender_ids[message.id] = (message.hook, sender_id[:200])
        self._keep(message, said)

    def _may_be_read(self, claimed: Claimed, source: Source) -> bool:
        """Was it signed with the key that it names? Until the key is known it waits; with a wrong signature it ends
        here. Nothing else than messages that the receiver marked is looked at."""
        message = claimed.message
        url = message.headers.get(KEY_URL, "")
        if not url:
            return True
        key = self._keys.get(url)
        if key is None:
            self.waiting.append((claimed, url))
            self.errands.append(_errand(KEY, url, message))
            return False
        verdict = source.verify_with_key(message, key) if source.verify_with_key else _NO_CHECK
        if verdict.verdict != "verified":
            log.warning("hook=%s message=%s refused reason=%s", message.hook, message.id, verdict.reason)
            self._say(message, "refused", {"why": verdict.reason})
            return False
        return True

    def give_up_but(self, asked: Collection[str]) -> None:
        """Messages that need a key which nobody will fetch end here: their hook asks for too many."""
        for claimed, url in self.waiting:
            if url not in asked:
                self._say(claimed.message, "refused", {"why": "its hook waits for too many certificates already"})
        self.waiting = [(claimed, url) for claimed, url in self.waiting if url in asked]

    def _visit(self, message: Message, said: Normalized) -> Normalized:
        """Have the address opened that the message asks us to open, when its own signature was checked."""
        if KEY_URL not in message.headers:
            return replace(said, ignored=f"{said.ignored}; not opened: its signature was not checked")
        self.errands.append(_errand(VISIT, said.visit, message))
        return replace(said, ignored=f"{said.ignored}; its address is being opened")

    def _keep(self, message: Message, said: Normalized) -> None:
        if said.visit:
            said = self._visit(message, said)
        for seq, alert in enumerate(map(self._clean, said.alerts)):
            if alert.series:
                self._brought.append((message.id, _brought(alert)))
            self._signals.append(signal_of(message, alert.environment, seq, "alert", replace(alert, series=())))
        for seq, update in enumerate(said.record_updates):
            clean = cleaned(update, self._redactor.text)
            self._signals.append(signal_of(message, update.environment, 100_000 + seq, "record_update", clean))
        self._normalized.append(said)
        ALERTS.labels(message.source).inc(len(said.alerts))
        outcome = (
            "ignored" if said.ignored and not (said.alerts or said.changes or said.record_updates) else "normalized"
        )
        because: dict[str, object] = {"why": said.ignored, "alerts": len(said.alerts), "changes": len(said.changes)}
        if renamed := self._renamed(said):
            because["subjects"] = renamed
        self._say(message, outcome, because)

    def _renamed(self, said: Normalized) -> dict[str, str]:
        """The sender's own names that the catalogue knows under others, for the audit trail."""
        sent = [*(alert.subject for alert in said.alerts), *(change.subject for change in said.changes)]
        found = {subject: self._catalog.resolve(subject) for subject in dict.fromkeys(sent)}
        renamed = {str(subject): str(known) for subject, known in found.items() if known != subject}
        return dict(list(renamed.items())[:MAX_RENAMED])

    def _clean(self, alert: Alert) -> Alert:
        """The alert as it may be stored readably: its subject by the catalogue's name, its texts redacted."""
        return replace(
            alert,
            subject=self._catalog.resolve(alert.subject),
            severity=self._severity(alert),
            summary=self._redactor.text(alert.summary),
            labels={name: str(value) for name, value in self._redactor.mapping(alert.labels).items()},
            links={name: self._redactor.text(url) for name, url in alert.links.items()},
            series=tuple(replace(one, metric=self._redactor.text(one.metric)) for one in alert.series),
        )

    def _severity(self, alert: Alert) -> Severity:
        """The policy's meaning of the sender's own word, where it gives one."""
        tables = self._active.mappings.policy.severities
        word = alert.labels.get("severity", "").lower()
        table = tables.get(alert.source) or tables.get("*") or {}
        return table.get(word, alert.severity)

    def _put_aside(self, message: Message, error: BadPayload) -> None:
        self._quarantined.append(Quarantined(message=message, reason=error.reason, path=error.path))
        own = own_alert(message, f"{error}", now=message.received_at)
        self._signals.append(signal_of(message, own.environment, 0, "alert", own))
        self._say(message, "quarantined", {"why": error.reason, "path": error.path})

    def _say(self, message: Message, outcome: str, because: dict[str, object]) -> None:
        because = {"hook": message.hook, **because}
        self._audit.append(understood_as(message, outcome, because, self._active.version))

    def understood(self, claimed: Sequence[Claimed]) -> Understood:
        """Everything that was read, to be kept in one transaction."""
        changes = [
            replace(
                change,
                subject=self._catalog.resolve(change.subject),
                summary=self._redactor.text(change.summary),
                touches=tuple(self._catalog.resolve(subject) for subject in change.touches),
                reads=tuple(self._catalog.resolve(subject) for subject in change.reads),
            )
            for said in self._normalized
            for change in said.changes
        ]
        waiting = {one.message.id for one, _ in self.waiting}
        return Understood(
            claimed=[one for one in claimed if one.message.id not in waiting],
            signals=self._signals,
            changes=changes,
            quarantined=self._quarantined,
            audit=self._audit,
            brought=self._brought,
            mirrored=mirrored(changes, self._mirrors(), self._catalog) if changes else (),
        )

    def _mirrors(self) -> list[Destination]:
        """Live destinations where changes are to be shown."""
        return [
            destination
            for destination in self._active.mappings.destinations.values()
            if destination.mode is Mode.LIVE
            and YES_OR_NO.validate_python(destination.text("mirror_changes") or False)
            and find_connector(destination.kind).mirror is not None
        ]


def _brought(alert: Alert) -> Brought:
    return Brought(
        environment=alert.environment,
        fingerprint=alert.fingerprint,
        received_at=alert.received_at,
        series=alert.series,
    )


def _errand(kind: str, url: str, message: Message) -> Errand:
    return Errand(url=url, kind=kind, source=message.source, hook=message.hook, environment=message.environment)


def own_alert(message: Message, words: str, *, now: datetime) -> Alert:
    """Our own alert to the catch-all team: a sender speaks and we do not understand it."""
    return alert_of_ours(
        "MessageQuarantined",
        message.hook,
        f"hook {message.hook}: a {message.source} message cannot be understood: {words[:300]}",
        environment=message.environment,
        labels={"hook": message.hook, "source": message.source},
        now=now,
    )


def alert_of_ours(
    name: str,
    resource: str,
    words: str,
    *,
    environment: str,
    now: datetime,
    labels: Mapping[str, str] | None = None,
    over: bool = False,
) -> Alert:
    """Something about ourselves that a person must see; `over`: it has ended. Without an end it expires in an hour."""
    return Alert(
        hook="tocsin",
        source="tocsin",
        environment="production" if environment in ("", "*") else environment,
        name=name,
        subject=Subject.of("service", "tocsin"),
        resource=resource,
        symptom=Symptom.ERRORS,
        severity=Severity.WARNING,
        status=Status.RESOLVED if over else Status.FIRING,
        summary=words,
        received_at=now,
        starts_at=now.astimezone(UTC),
        ends_at=now.astimezone(UTC) if over else None,
        sender_key=resource,
        resolves=Resolves.EXPIRY,
        expires_after=timedelta(hours=1),
        labels=labels or {},
    )
