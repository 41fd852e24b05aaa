"""READ FIRST: what happens to a message, one call a line.

    understand   claim a batch · normalize · keep alerts, changes and updates       parallel, no lock
    decide       fold signals into incidents · judge · set the wanted records       one writer per environment
    attribute    score the changes that may be the cause · ask for a new decision   outside the lock
    draw         the timeline picture, which nothing waits for                      outside the lock

Each is its own transaction and none calls a vendor; delivery.py does, later.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from uuid import UUID

from prometheus_client import Histogram
from sqlalchemy.exc import OperationalError

from tocsin import scoring
from tocsin.bootstrap import Active, App
from tocsin.connectors import find as find_connector
from tocsin.decide import merging
from tocsin.decide.acts import Ledger
from tocsin.decide.fold import GROUPS_SINCE, Fold
from tocsin.decide.group import Groups
from tocsin.decide.hands import aware
from tocsin.decide.judge import Judged, judge, verdict
from tocsin.decide.people import People
from tocsin.decide.plan import Desk
from tocsin.domain.alert import Alert, AlertState
from tocsin.domain.audit import AuditEntry
from tocsin.domain.catalog import Catalog
from tocsin.domain.errors import TocsinError
from tocsin.domain.incident import IncidentState
from tocsin.domain.message import KEY_URL, Message, RecordUpdate
from tocsin.store import (
    attribution,
    confirmations,
    decisions,
    errands,
    inbox,
    isolating,
    jobs,
    kin,
    people,
    pictures,
    records,
    storms,
)
from tocsin.store.decisions import Decisions, Waiting
from tocsin.store.inbox import Signal
from tocsin.store.pictures import NotDrawn
from tocsin.understanding import Reading, own_alert, signal_of, understood_as

log = logging.getLogger(__name__)

SIGNALS_AT_ONCE = 1500
ALONE = ("signal", "alert", "incident")
"""The order in which things are decided one by one after a failure."""
JUDGE_EVERY = timedelta(seconds=1)
"""In a storm an incident that grows with every batch is judged this often at most; a first judgement never waits."""

DECIDED = Histogram("tocsin_decide_seconds", "Seconds of one decide transaction")


# ---------------------------------------------------------------------------------------------------- understand


def understand(app: App) -> int:
    """Read the next batch of messages; returns how many (0: nothing waits)."""
    active = app.active()
    quarantine_poison(app)
    claimed = inbox.claim(app.database, app.seal)
    if not claimed:
        return 0
    wanted = {url for one in claimed if (url := one.message.headers.get(KEY_URL, ""))}
    batch = Reading(active=active, keys=errands.keys(app.database, wanted))
    for one in claimed:
        batch.read(one)
    if batch.errands:
        batch.give_up_but(errands.ask(app.database, batch.errands))
    if batch.waiting:
        errands.put_off(app.database, batch.waiting)
    inbox.keep(app.database, batch.understood(claimed), batch.sender_ids)
    return len(claimed)


def quarantine_poison(app: App) -> None:
    """Messages that killed their reader three times are put aside and raise our own alert."""

    def tell(message: Message) -> tuple[Signal, AuditEntry]:
        because: dict[str, object] = {"hook": message.hook, "why": inbox.POISON}
        own = own_alert(message, inbox.POISON, now=message.received_at)
        return signal_of(message, own.environment, 0, "alert", own), understood_as(message, "quarantined", because)

    for message_id in inbox.put_aside_poison(app.database, tell):
        log.error("message=%s quarantined: %s", message_id, inbox.POISON)


# -------------------------------------------------------------------------------------------------------- decide


def decide(app: App, environment: str) -> int:
    """Decide what waits in one environment; returns how many signals, alerts and incidents were looked at (0:
    nothing, or another worker is at it). What fails against all expectation is put aside alone, the rest goes on."""
    try:
        return _decide(app, environment)
    except (TocsinError, OperationalError):
        raise
    except isolating.MISTAKES:
        log.exception("environment=%s deciding failed; going on one by one", environment)
    done = 0
    for alone in ALONE:
        for _ in range(SIGNALS_AT_ONCE):
            try:
                if not _decide(app, environment, alone=alone):
                    break
            except (TocsinError, OperationalError):
                raise
            except isolating.MISTAKES as error:
                log.exception("environment=%s one %s cannot be decided", environment, alone)
                isolating.put_aside(app.database, environment, alone, f"deciding it failed: {error!r}")
            done += 1
    return done


def _decide(app: App, environment: str, *, alone: str = "") -> int:
    active = app.active()
    written = active.mappings.catalog
    with DECIDED.time(), decisions.deciding(app.database, environment) as store:
        if store is None:
            return 0
        found = store.signals(1 if alone else SIGNALS_AT_ONCE) if alone in ("", "signal") else []
        waiting = found[: app.lineage.unchanged(environment, written, [one.received_at for one in found])]
        more = len(found) == SIGNALS_AT_ONCE or len(waiting) < len(found)
        until = store.decided_until(waiting)
        due = store.due_alerts(1 if alone else SIGNALS_AT_ONCE, until=until) if alone in ("", "alert") else []
        again = store.due_incidents(1 if alone else 200) if alone in ("", "incident") else []
        if not (waiting or due or again):
            return 0
        catalog = app.lineage.of(environment, written, waiting[0].received_at if waiting else until)
        fold = _remembered(app, active, catalog, store=store, waiting=waiting, due=due)
        for signal in waiting:
            fold.take(signal.value, message_id=signal.message_id, seq=signal.seq, at=signal.received_at)
        fold.wait_until(until)
        _keep_fold(store, fold, waiting)
        ids = {*fold.touched, *again}
        ids -= store.put_off(ids - fold.pressing, JUDGE_EVERY, more=more)
        _judge_all(app, active, store, fold, sorted(ids))
        store.audit(fold.audit)
        return len(waiting) + len(due) + len(ids)


def _remembered(
    app: App, active: Active, catalog: Catalog, *, store: Decisions, waiting: Sequence[Waiting], due: list[AlertState]
) -> Fold:
    """Everything that folding these signals and ending these alerts needs to know."""
    fingerprints = sorted({w.value.fingerprint for w in waiting if isinstance(w.value, Alert)})
    updates = [w.value for w in waiting if isinstance(w.value, RecordUpdate)]
    states = {state.fingerprint: state for state in due} | store.states(fingerprints)
    ids = {state.incident_id for state in states.values() if state.incident_id}
    if fingerprints:  # nothing else is grouped
        ids |= {*store.open_since(GROUPS_SINCE)}
    kept = people.recall(store.connection, store.environment, updates)
    ids |= {record.incident_id for each in kept.values() for record in each}
    looked = [since for w in waiting if isinstance(w.value, Alert) and (since := w.value.window_starts_at)]
    aside = {*kin.alive_since(store.connection, store.environment, min(looked))} - ids if looked else set()
    ids |= aside
    known = store.courses(sorted(ids))
    groups = Groups(catalog)
    for memory in store.memories(sorted(ids)):
        groups.recall(memory, aside=memory.incident_id in aside)
        if known[memory.incident_id].state is IncidentState.RESOLVED:
            groups.close(memory.incident_id)
    return Fold(
        environment=store.environment,
        installation_id=app.installation_id,
        mapping_version=active.version,
        catalog=catalog,
        policy=active.mappings.policy,
        states=states,
        incidents=known,
        groups=groups,
        firing=store.firing(sorted(ids)),
        people=People(
            policy=active.mappings.policy,
            ledger=Ledger(
                catalog=active.mappings.catalog,
                clean=active.redactor.text,
                hands=people.hands(store.connection, sorted(ids)),
            ),
            records=kept,
            events=people.taken(store.connection, updates) if updates else set(),
        ),
    )


def _keep_fold(store: Decisions, fold: Fold, waiting: Sequence[Waiting]) -> None:
    store.open_incidents([fold.incidents[i] for i in fold.opened])
    store.save_states([fold.states[f] for f in sorted(fold.moved)], fold.due())
    store.save_occurrences(fold.ended)
    grown = sorted(fold.joined)
    memories = {i: fold.groups.remember(i) for i in grown}
    store.touch([fold.incidents[i] for i in grown], memories, attribute=fold.joined)
    people.keep(store.connection, fold.people)
    store.forget(waiting)


def _judge_all(app: App, active: Active, store: Decisions, fold: Fold, ids: Sequence[UUID]) -> None:
    incidents = store.incidents(ids, fold.states)
    kept = records.of_incidents(store.connection, ids)
    near = kin.near(store.connection, store.environment, incidents.values())
    similar = store.similar(list(incidents.values()))
    desk = desk_of(app, active)
    decided: list[Judged] = []
    for incident_id in ids:
        incident = incidents.get(incident_id)
        if incident is None or not incident.members:
            store.let_be(incident_id)
            continue
        if incident_id in fold.human_touched:
            incident = replace(incident, human_touched=True)
        opened_at = incident.opened_at
        judged = judge(
            incident,
            aware(kept.get(incident_id, []), fold.people.ledger.ended_in, incident),
            replace(desk, catalog=app.lineage.seen_by(incident, desk.catalog)),
            active.mappings.policy,
            changes=store.changes(opened_at - scoring.CHANGES_BACK, opened_at + scoring.CLOCK_SKEW),
            similar=similar.get(incident_id, ()),
            near=near,
            now=store.now,
        )
        decided.append(judged)
        fold.audit.append(verdict(judged, version=active.version, now=store.now))
        if judged.joined_or_parted:
            fold.audit.append(merging.moved(judged.incident, version=active.version, now=store.now))
    store.save_incidents(decided, version=active.version)
    plans = [plan for judged in decided for plan in judged.planned.plans]
    let_out, capped = storms.within_caps(
        store.connection, desk, plans, kept, environment=store.environment, judged=ids, now=store.now
    )
    fold.audit += capped
    records.want(store.connection, let_out)
    pictures.want(store.connection, [each.incident_id for each in let_out if each.pictured])
    kin.ask_again(store.connection, {one for judged in decided for one in judged.asked_again})


def desk_of(app: App, active: Active) -> Desk:
    """The ways out under the active mappings."""
    destinations = active.mappings.destinations
    kinds = {d.kind: find_connector(d.kind) for d in destinations.values()}
    return Desk(
        installation_id=app.installation_id,
        destinations=destinations,
        reopens={kind: connector.reopens for kind, connector in kinds.items()},
        holds_ticket={kind: connector.holds_ticket for kind, connector in kinds.items()},
        catalog=active.mappings.catalog,
        redactor=active.redactor,
        public_url=app.settings.public_url,
        policy=active.mappings.policy,
        attaches={kind: connector.attaches for kind, connector in kinds.items()},
    )


# ----------------------------------------------------------------------------------------------------- attribute


def attribute(app: App) -> list[str]:
    """Score the incidents that are due; returns the environments in which a decision must follow. One that cannot be
    scored against all expectation waits, and holds up no other."""
    tell = []
    written = app.active().mappings.catalog
    for due in attribution.take_due(app.database):
        try:
            if due.incident.members and scoring.score(app, due, written):
                tell.append(due.incident.environment)
        except (TocsinError, OperationalError):
            raise
        except isolating.MISTAKES:
            log.exception("incident=%s cannot be scored", due.incident.display)
            attribution.postpone(app.database, due.incident.id, isolating.WAIT_S)
        if not due.incident.members:
            attribution.stop(app.database, due.incident.id)
    return sorted(set(tell))


# ---------------------------------------------------------------------------------------------------------- draw


def draw(app: App) -> bool:
    """Draw the timeline picture that has waited longest; False when none is wanted. One that cannot be drawn is named
    in the log and the audit trail; tickets and pages never wait for it."""
    taken = pictures.take(app.database)
    if taken is None:
        return False
    try:
        content = _drawn(app, taken)
    except (TocsinError, OperationalError):
        raise
    except (ImportError, OSError, *isolating.MISTAKES) as error:
        reason = NotDrawn.LIBRARY_MISSING if isinstance(error, ImportError) else NotDrawn.DRAWING_FAILED
        log.exception("incident=%s picture=%s", taken.incident.display, reason)
        pictures.give_up(app.database, taken, reason, type(error).__name__)
        return True
    kinds = {destination.kind for destination in app.active().mappings.destinations.values()}
    pictures.keep(app.database, taken, content, kinds=sorted(k for k in kinds if find_connector(k).attaches))
    return True


def _drawn(app: App, taken: pictures.Taken) -> bytes:
    from tocsin.decide.timeline import timeline  # noqa: PLC0415 with matplotlib, 40 MB, only where pictures are drawn
    from tocsin.drawing import png  # noqa: PLC0415

    active, incident = app.active(), taken.incident
    shown = timeline(
        incident,
        scoring.candidates(app, incident),
        catalog=app.lineage.seen_by(incident, active.mappings.catalog),
        redactor=active.redactor,
        series=taken.series,
    )
    return png(shown)


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
