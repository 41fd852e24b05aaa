"""What does a batch of messages say? Normalized, subjects by the catalogue's names, texts redacted; or quarantined."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

from prometheus_client import Counter

from tocsin.bootstrap import Active
from tocsin.domain.alert import Alert, Resolves, Severity, Status, Symptom
from tocsin.domain.audit import AuditEntry
from tocsin.domain.errors import BadPayload
from tocsin.domain.message import Message, Normalized
from tocsin.domain.subject import Subject
from tocsin.sources import find as find_source
from tocsin.store.inbox import Claimed, Quarantined, Signal, Understood

MESSAGES = Counter("tocsin_messages_understood_total", "Messages by what became of them", ["source", "outcome"])
ALERTS = Counter("tocsin_alerts_received_total", "Alerts read in messages", ["source"])


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

    def __init__(self, *, active: Active) -> None:
        self._active = active
        self._catalog = active.mappings.catalog
        self._redactor = active.redactor
        self._signals: list[Signal] = []
        self._normalized: list[Normalized] = []
        self._quarantined: list[Quarantined] = []
        self._audit: list[AuditEntry] = []
        self.sender_ids: dict[UUID, tuple[str, str]] = {}

    def read(self, claimed: Claimed) -> None:
        """Take in one message; what does not fit its producer's documents is put aside."""
        message = claimed.message
        hook = self._active.mappings.hooks.get(message.hook)
        try:
            if hook is None:
                raise BadPayload(f"hook {message.hook} is no longer declared; declare it again and replay")
            source = find_source(message.source)
            said = source.normalize(message, hook)
            sender_id = source.message_id(message)
        except BadPayload as error:
            self._put_aside(message, error)
            return
        if sender_id:
            self.sender_ids[message.id] = (message.hook, sender_id[:200])
        self._keep(message, said)

    def _keep(self, message: Message, said: Normalized) -> None:
        for seq, alert in enumerate(said.alerts):
            self._signals.append(signal_of(message, alert.environment, seq, "alert", self._clean(alert)))
        for seq, update in enumerate(said.record_updates):
            self._signals.append(signal_of(message, update.environment, 100_000 + seq, "record_update", update))
        self._normalized.append(said)
        ALERTS.labels(message.source).inc(len(said.alerts))
        outcome = (
            "ignored" if said.ignored and not (said.alerts or said.changes or said.record_updates) else "normalized"
        )
        because = {"why": said.ignored, "alerts": len(said.alerts), "changes": len(said.changes)}
        self._say(message, outcome, because)

    def _clean(self, alert: Alert) -> Alert:
        """The alert as it may be stored readably: its subject by the catalogue's name, its texts redacted."""
        return replace(
            alert,
            subject=self._catalog.resolve(alert.subject),
            severity=self._severity(alert),
            summary=self._redactor.text(alert.summary),
            labels={name: str(value) for name, value in self._redactor.mapping(alert.labels).items()},
            links={name: self._redactor.text(url) for name, url in alert.links.items()},
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
        return Understood(
            claimed=claimed,
            signals=self._signals,
            changes=[
                replace(
                    change,
                    subject=self._catalog.resolve(change.subject),
                    summary=self._redactor.text(change.summary),
                    touches=tuple(self._catalog.resolve(subject) for subject in change.touches),
                )
                for said in self._normalized
                for change in said.changes
            ],
            quarantined=self._quarantined,
            audit=self._audit,
        )


def own_alert(message: Message, words: str, *, now: datetime) -> Alert:
    """Our own alert to the catch-all team: a sender speaks and we do not understand it."""
    return Alert(
        hook="tocsin",
        source="tocsin",
        environment="production" if message.environment == "*" else message.environment,
        name="MessageQuarantined",
        subject=Subject.of("service", "tocsin"),
        resource=message.hook,
        symptom=Symptom.ERRORS,
        severity=Severity.WARNING,
        status=Status.FIRING,
        summary=f"hook {message.hook}: a {message.source} message cannot be understood: {words[:300]}",
        received_at=now,
        starts_at=now.astimezone(UTC),
        sender_key=message.hook,
        resolves=Resolves.EXPIRY,
        expires_after=timedelta(hours=1),
        labels={"hook": message.hook, "source": message.source},
    )
