"""READ FIRST: what happens to a message, one call a line.

    understand   claim a batch · normalize · keep alerts, changes and updates       parallel, no lock
    decide       fold signals into incidents · judge · set the wanted records       one writer per environment
    attribute    score the changes that may be the cause · ask for a new decision   outside the lock

Each is its own transaction and none calls a vendor; delivery.py does, later.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

from prometheus_client import Counter, Histogram

from tocsin.bootstrap import Active, App
from tocsin.connectors import find as find_connector
from tocsin.decide.fold import GROUPS_SINCE, Fold, Known
from tocsin.decide.group import Groups, Seen, tokens_of
from tocsin.decide.judge import is_news, judge, verdict
from tocsin.decide.plan import Desk
from tocsin.domain.alert import Alert, Resolves, Severity, Status, Symptom
from tocsin.domain.audit import AuditEntry
from tocsin.domain.errors import BadPayload
from tocsin.domain.message import Message, Normalized, RecordUpdate
from tocsin.domain.record import Plan
from tocsin.domain.subject import Subject
from tocsin.sources import find as find_source
from tocsin.store import attribution, confirmations, decisions, inbox, jobs, records
from tocsin.store.decisions import Decisions, Facts, Waiting
from tocsin.store.inbox import Claimed, Quarantined, Signal, Understood

log = logging.getLogger(__name__)

SIGNALS_AT_ONCE = 1500
JUDGE_EVERY = timedelta(seconds=0.5)
"""In a storm an incident that grows with every batch is judged this often; a first judgement never waits."""
CHANGES_BACK = timedelta(hours=72)
"""How far back a change may be a cause (correlation.md §2)."""
CLOCK_SKEW = timedelta(minutes=5)

MESSAGES = Counter("tocsin_messages_understood_total", "Messages by what became of them", ["source", "outcome"])
ALERTS = Counter("tocsin_alerts_received_total", "Alerts read in messages", ["source"])
DECIDED = Histogram("tocsin_decide_seconds", "Seconds of one decide transaction")


# ---------------------------------------------------------------------------------------------------- understand


def understand(app: App) -> int:
    """Read the next batch of messages; returns how many (0: nothing waits)."""
    active = app.active()
    quarantine_poison(app)
    claimed = inbox.claim(app.database, app.seal)
    if not claimed:
        return 0
    batch = _Reading(active=active)
    for one in claimed:
        batch.read(one)
    inbox.keep(app.database, batch.understood(claimed), batch.sender_ids)
    return len(claimed)


def quarantine_poison(app: App) -> None:
    """Messages that killed their reader three times are put aside and raise our own alert."""

    def tell(message: Message) -> tuple[Signal, AuditEntry]:
        because: dict[str, object] = {"hook": message.hook, "why": inbox.POISON}
        own = own_alert(message, inbox.POISON, now=message.received_at)
        return _signal(message, own.environment, 0, "alert", own), _understood(message, "quarantined", because)

    for message_id in inbox.put_aside_poison(app.database, tell):
        log.error("message=%s quarantined: %s", message_id, inbox.POISON)


def _signal(message: Message, environment: str, seq: int, kind: str, payload: object) -> Signal:
    return Signal(
        environment=environment,
        received_at=message.received_at,
        message_id=message.id,
        seq=seq,
        kind=kind,
        payload=payload,
    )


def _understood(message: Message, outcome: str, because: dict[str, object], version: int = 0) -> AuditEntry:
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


class _Reading:
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
            self._signals.append(_signal(message, alert.environment, seq, "alert", self._clean(alert)))
        for seq, update in enumerate(said.record_updates):
            self._signals.append(_signal(message, update.environment, 100_000 + seq, "record_update", update))
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
            summary=self._redactor.text(alert.summary),
            labels={name: str(value) for name, value in self._redactor.mapping(alert.labels).items()},
            links={name: self._redactor.text(url) for name, url in alert.links.items()},
        )

    def _put_aside(self, message: Message, error: BadPayload) -> None:
        self._quarantined.append(Quarantined(message=message, reason=error.reason, path=error.path))
        own = own_alert(message, f"{error}", now=message.received_at)
        self._signals.append(_signal(message, own.environment, 0, "alert", own))
        self._say(message, "quarantined", {"why": error.reason, "path": error.path})

    def _say(self, message: Message, outcome: str, because: dict[str, object]) -> None:
        because = {"hook": message.hook, **because}
        self._audit.append(_understood(message, outcome, because, self._active.version))

    def understood(self, claimed: Sequence[Claimed]) -> Understood:
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


# -------------------------------------------------------------------------------------------------------- decide


def decide(app: App, environment: str) -> int:
    """Decide what waits in one environment; returns how many signals, alerts and incidents were looked at (0:
    nothing, or another worker is at it)."""
    active = app.active()
    with DECIDED.time(), decisions.deciding(app.database, environment) as store:
        if store is None:
            return 0
        waiting = store.signals(SIGNALS_AT_ONCE)
        due = store.due_alerts(SIGNALS_AT_ONCE)
        again = store.due_incidents()
        if not (waiting or due or again):
            return 0
        fold = _remembered(app, active, store, waiting)
        for signal in waiting:
            fold.take(signal.value, message_id=signal.message_id, seq=signal.seq, at=signal.received_at)
        fold.look_again(due, now=store.now)
        _keep_fold(store, fold, waiting)
        ids = {*fold.touched, *again}
        ids -= store.put_off(ids - fold.pressing, JUDGE_EVERY, more=len(waiting) == SIGNALS_AT_ONCE)
        _judge_all(app, active, store, fold, sorted(ids))
        store.audit(fold.audit)
        return len(waiting) + len(due) + len(ids)


def _remembered(app: App, active: Active, store: Decisions, waiting: Sequence[Waiting]) -> Fold:
    """Everything that folding these signals needs to know."""
    fingerprints = sorted({w.value.fingerprint for w in waiting if isinstance(w.value, Alert)})
    updates = [w.value for w in waiting if isinstance(w.value, RecordUpdate)]
    states = store.states(fingerprints)
    groups = store.open_groups(GROUPS_SINCE)
    ids = {g.incident_id for g in groups} | {s.incident_id for s in states.values() if s.incident_id}
    owners = store.by_record([u.external_id for u in updates], [u.record_key for u in updates]) if updates else {}
    ids |= set(owners.values())
    return Fold(
        environment=store.environment,
        installation_id=app.installation_id,
        mapping_version=active.version,
        catalog=active.mappings.catalog,
        policy=active.mappings.policy,
        states=states,
        incidents={i: _known(facts) for i, facts in store.facts(sorted(ids)).items()},
        groups=Groups(
            active.mappings.catalog,
            [
                (
                    g.incident_id,
                    [
                        Seen(fingerprint=f, subject=s, name=n, symptom=Symptom(y), at=at, tokens=tokens_of(n))
                        for f, s, n, y, at in g.seen
                    ],
                    g.last_at,
                )
                for g in groups
            ],
        ),
        firing=store.firing(sorted(ids)),
        record_owner=owners,
    )


def _known(facts: Facts) -> Known:
    return Known(
        id=facts.id,
        state=facts.state,
        opened_at=facts.opened_at,
        last_alert_at=facts.last_alert_at,
        resolved_at=facts.resolved_at,
        reopened=facts.reopened,
    )


def _keep_fold(store: Decisions, fold: Fold, waiting: Sequence[Waiting]) -> None:
    store.open_incidents([_facts(fold.incidents[i]) for i in fold.opened])
    store.save_states([fold.states[f] for f in sorted(fold.moved)], fold.due())
    store.save_occurrences(fold.ended)
    store.touch([_facts(fold.incidents[i]) for i in sorted(fold.joined)], attribute=fold.joined)
    store.forget(waiting)


def _facts(known: Known) -> Facts:
    return Facts(
        id=known.id,
        state=known.state,
        opened_at=known.opened_at,
        last_alert_at=known.last_alert_at,
        resolved_at=known.resolved_at,
        reopened=known.reopened,
    )


def _judge_all(app: App, active: Active, store: Decisions, fold: Fold, ids: Sequence[UUID]) -> None:
    incidents = store.incidents(ids)
    kept = records.of_incidents(store.connection, ids)
    desk = desk_of(app, active)
    plans: list[Plan] = []
    for incident_id in ids:
        incident = incidents.get(incident_id)
        if incident is None or not incident.members:
            continue
        if incident_id in fold.human_touched:
            incident = replace(incident, human_touched=True)
        opened_at = incident.opened_at
        judged = judge(
            incident,
            kept.get(incident_id, []),
            desk,
            active.mappings.policy,
            changes=store.changes(opened_at - CHANGES_BACK, opened_at + CLOCK_SKEW),
            similar=store.similar(incident),
            now=store.now,
        )
        plans += judged.planned.plans
        title = judged.planned.plans[0].wanted.title if judged.planned.plans else ""
        store.save_incident(judged.incident, title=title, decide_again_at=judged.again_at, version=active.version)
        fold.audit.append(verdict(judged, version=active.version, now=store.now))
    records.want(store.connection, plans)


def desk_of(app: App, active: Active) -> Desk:
    """The ways out under the active mappings."""
    destinations = active.mappings.destinations
    return Desk(
        installation_id=app.installation_id,
        destinations=destinations,
        reopens={d.kind: find_connector(d.kind).reopens for d in destinations.values()},
        catalog=active.mappings.catalog,
        redactor=active.redactor,
        public_url=app.settings.public_url,
    )


# ----------------------------------------------------------------------------------------------------- attribute


def attribute(app: App) -> list[str]:
    """Score the incidents that are due; returns the environments in which a decision must follow."""
    from tocsin.decide.attribute import attribute as score  # noqa: PLC0415 numpy and scipy load only where scoring runs

    active = app.active()
    tell = []
    for due in attribution.take_due(app.database):
        incident = due.incident
        if not incident.members:
            attribution.stop(app.database, incident.id)
            continue
        now = app.database.now()
        first_at = min(member.starts_at for member in incident.members)
        changes = attribution.candidates(
            app.database, incident.environment, first_at - CHANGES_BACK, first_at + CLOCK_SKEW
        )
        scored = score(incident, changes, active.mappings.catalog, now=now)
        news = is_news(incident.attribution, scored)
        if attribution.keep(app.database, due, scored, tell=news) and news:
            tell.append(incident.environment)
    return sorted(set(tell))


# ----------------------------------------------------------------------------------------------------------- jobs


def carry_out_job(app: App) -> bool:
    """Do one thing that a person asked for in the console or the API; False when nothing is asked for."""
    job = jobs.take(app.database)
    if job is None:
        return False
    if job.kind == "confirm_cause":
        arguments = job.arguments
        found = confirmations.confirm(app.database, arguments["number"], arguments["change"], actor=job.actor)
        jobs.finish(app.database, job, {"done": found is not None})
    else:
        jobs.finish(app.database, job, {"done": False, "why": f"kind {job.kind} is unknown to this release"})
    return True


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
