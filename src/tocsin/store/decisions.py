"""What deciding asks of the store and leaves there: one transaction, one writer per environment."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import TYPE_CHECKING
from uuid import UUID

from pydantic import TypeAdapter
from sqlalchemy import Connection, text

from tocsin.domain.alert import Alert, AlertState
from tocsin.domain.audit import AuditEntry
from tocsin.domain.change import Change
from tocsin.domain.incident import Course, Incident, IncidentState, Memory, Similar
from tocsin.domain.message import RecordUpdate
from tocsin.store.database import DECIDE_LOCK, Database, bulk, rows, run
from tocsin.store.inbox import write_audit
from tocsin.store.incidents import load_changes, load_incidents, load_similar, state_of
from tocsin.store.intake import GRACE

if TYPE_CHECKING:
    from tocsin.decide.judge import Judged

ALERT = TypeAdapter(Alert)
UPDATE = TypeAdapter(RecordUpdate)
MEMORY = TypeAdapter(Memory)

RESCORE_S = 2
"""Alerts that join an incident which has its score are gathered this long before it is scored again."""

CHANGES_AHEAD = timedelta(hours=1)
_NEVER = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """A signal with its place in the receipt order."""

    received_at: datetime
    message_id: UUID
    seq: int
    value: Alert | RecordUpdate


class Decisions:
    """The questions and writes of one decide transaction of one environment."""

    def __init__(self, connection: Connection, environment: str) -> None:
        self._connection = connection
        self.environment = environment
        self.now: datetime = connection.execute(text("SELECT clock_timestamp()")).scalar_one()
        self._changes: tuple[datetime, datetime, list[Change]] = (_NEVER, _NEVER, [])

    def signals(self, limit: int) -> list[Waiting]:
        """The next signals in receipt order, up to the oldest message that is still being understood (so that any
        number of readers leaves the order untouched); a dead reader's messages are not waited for."""
        found = rows(
            self._connection,
            "WITH oldest AS (SELECT received_at, id FROM inbox WHERE environment IN (:environment, '*')"
            "  AND (claims = 0 OR claimed_until >= clock_timestamp()) ORDER BY received_at, id LIMIT 1)"
            " SELECT received_at, message_id, seq, kind, payload::text AS payload FROM signals"
            " WHERE environment = :environment"
            "  AND NOT EXISTS (SELECT FROM oldest"
            "   WHERE (oldest.received_at, oldest.id) <= (signals.received_at, signals.message_id))"
            " ORDER BY received_at, message_id, seq LIMIT :limit",
            environment=self.environment,
            limit=limit,
        )
        return [
            Waiting(
                received_at=row.received_at,
                message_id=row.message_id,
                seq=row.seq,
                value=(ALERT if row.kind == "alert" else UPDATE).validate_json(row.payload),
            )
            for row in found
        ]

    def forget(self, signals: Sequence[Waiting]) -> None:
        """These signals are decided."""
        if signals:
            run(
                self._connection,
                "DELETE FROM signals USING unnest(CAST(:messages AS uuid[]), CAST(:seqs AS int[])) AS done (m, s)"
                " WHERE environment = :environment AND received_at BETWEEN :first AND :last"
                "  AND message_id = done.m AND seq = done.s",
                environment=self.environment,
                messages=[s.message_id for s in signals],
                seqs=[s.seq for s in signals],
                first=signals[0].received_at,
                last=signals[-1].received_at,
            )

    def states(self, fingerprints: Sequence[str]) -> dict[str, AlertState]:
        """What is known of these alerts."""
        found = rows(
            self._connection,
            "SELECT state::text AS state FROM alerts WHERE environment = :environment"
            " AND fingerprint = ANY(:fingerprints)",
            environment=self.environment,
            fingerprints=list(fingerprints),
        )
        states = [state_of(row.state) for row in found]
        return {state.fingerprint: state for state in states}

    def decided_until(self, signals: Sequence[Waiting]) -> datetime:
        """How far time has come once these signals are decided: to the receipt of the oldest message that is not yet,
        else to now. What happens by time alone must not overtake a report that was received before, nor go on while
        none could be (see intake)."""
        found = rows(
            self._connection,
            "SELECT least(clock_timestamp(), (SELECT intake_at + CAST(:grace AS interval) FROM installation),"
            " (SELECT min(received_at) FROM inbox"
            "  WHERE environment IN (:environment, '*') AND (claims = 0 OR claimed_until >= clock_timestamp())),"
            " (SELECT min(received_at) FROM signals WHERE environment = :environment"
            "  AND (received_at, message_id, seq) > (:at, :message_id, :seq))) AS until",
            environment=self.environment,
            at=signals[-1].received_at if signals else _NEVER,
            message_id=signals[-1].message_id if signals else UUID(int=0),
            seq=signals[-1].seq if signals else -1,
            grace=GRACE,
        )
        until = found[0].until
        assert isinstance(until, datetime)
        return until

    def due_alerts(self, limit: int, *, until: datetime) -> list[AlertState]:
        """Alerts whose expiry or flapping spell must be looked at by then."""
        found = rows(
            self._connection,
            "SELECT state::text AS state FROM alerts WHERE environment = :environment AND look_again_at <= :until"
            " ORDER BY look_again_at, fingerprint LIMIT :limit",
            environment=self.environment,
            until=until,
            limit=limit,
        )
        return [state_of(row.state) for row in found]

    def due_incidents(self, limit: int) -> list[UUID]:
        """Incidents whose decision is asked for again."""
        found = rows(
            self._connection,
            "SELECT id FROM incidents WHERE environment = :environment AND decide_again_at <= clock_timestamp()"
            " ORDER BY opened_at, id LIMIT :limit",
            environment=self.environment,
            limit=limit,
        )
        return [row.id for row in found]

    def put_off(self, ids: Collection[UUID], every: timedelta, *, more: bool) -> set[UUID]:
        """Of these incidents, the active ones that were judged within `every`, while `more` or other messages wait:
        they stay due and are judged with a later batch. Not when a first record is held back for the likely cause and
        that is known now."""
        found = rows(
            self._connection,
            "UPDATE incidents SET decide_again_at = clock_timestamp() WHERE id = ANY(:ids)"
            " AND gate->>'state' = 'active' AND changed_at > clock_timestamp() - CAST(:every AS interval)"
            " AND NOT (attribution IS NOT NULL AND EXISTS (SELECT FROM records WHERE incident_id = incidents.id"
            "  AND attempts = 0 AND next_attempt_at > clock_timestamp()))"
            " AND (:more OR EXISTS (SELECT FROM inbox WHERE environment IN (:environment, '*'))) RETURNING id",
            ids=list(ids),
            every=every,
            more=more,
            environment=self.environment,
        )
        return {row.id for row in found}

    def let_be(self, incident_id: UUID) -> None:
        """There is nothing to decide about this incident: it is not due."""
        run(self._connection, "UPDATE incidents SET decide_again_at = NULL WHERE id = :id", id=incident_id)

    def open_since(self, since: timedelta) -> list[UUID]:
        """Open incidents with an alert since then: at most 200, those that grew last (correlation.md §3)."""
        found = rows(
            self._connection,
            "SELECT id FROM incidents WHERE environment = :environment AND state = 'open'"
            " AND last_alert_at > clock_timestamp() - CAST(:since AS interval)"
            " ORDER BY last_alert_at DESC, id LIMIT 200",
            environment=self.environment,
            since=since,
        )
        return [row.id for row in found]

    def memories(self, ids: Sequence[UUID]) -> list[Memory]:
        """What grouping kept of these incidents, oldest first."""
        found = rows(
            self._connection,
            "SELECT CAST(grouping AS text) AS memory FROM incidents WHERE id = ANY(:ids) AND grouping IS NOT NULL"
            " ORDER BY id",
            ids=list(ids),
        )
        return [_memory(row.memory) for row in found]

    def courses(self, ids: Sequence[UUID]) -> dict[UUID, Course]:
        """State and times of these incidents."""
        found = rows(
            self._connection,
            "SELECT id, state, opened_at, resolved_at, last_alert_at, reopened FROM incidents WHERE id = ANY(:ids)",
            ids=list(ids),
        )
        return {
            row.id: Course(
                id=row.id,
                state=IncidentState(row.state),
                opened_at=row.opened_at,
                resolved_at=row.resolved_at,
                last_alert_at=row.last_alert_at,
                reopened=row.reopened,
            )
            for row in found
        }

    def firing(self, ids: Sequence[UUID]) -> dict[UUID, int]:
        """How many members of these incidents fire."""
        found = rows(
            self._connection,
            "SELECT incident_id, count(*) AS n FROM alerts WHERE incident_id = ANY(:ids) AND status = 'firing'"
            " GROUP BY incident_id",
            ids=list(ids),
        )
        return {row.incident_id: int(row.n) for row in found}

    def incidents(self, ids: Sequence[UUID], known: Mapping[str, AlertState]) -> dict[UUID, Incident]:
        """These incidents with their members (see MAX_MEMBERS); what is `known` of alerts is not read again."""
        return load_incidents(self._connection, ids, known)

    def changes(self, since: datetime, until: datetime) -> list[Change]:
        """Changes of this environment in a span of time, by occurrence. What was read for one incident serves those
        that opened within an hour of it."""
        first, last, known = self._changes
        if not first <= since <= until <= last:
            first, last = since, until + CHANGES_AHEAD
            known = load_changes(self._connection, self.environment, first, last)
            self._changes = first, last, known
        return [change for change in known if since <= change.occurred_at <= until]

    def similar(self, incidents: Sequence[Incident], limit: int = 3) -> dict[UUID, list[Similar]]:
        """For each the past incidents that share an affected item and a symptom with it, newest first."""
        return load_similar(self._connection, self.environment, incidents, limit)

    def save_states(self, states: Sequence[AlertState], look_again: Mapping[str, datetime | None]) -> None:
        """Write what is now known of these alerts."""
        bulk(
            self._connection,
            "INSERT INTO alerts (environment, fingerprint, status, incident_id, look_again_at, last_received_at, state)"
            " SELECT * FROM jsonb_to_recordset(CAST(:rows AS jsonb)) AS r (environment text, fingerprint text,"
            "  status text, incident_id uuid, look_again_at timestamptz, last_received_at timestamptz, state jsonb)"
            " ON CONFLICT (environment, fingerprint) DO UPDATE SET status = excluded.status,"
            "  incident_id = excluded.incident_id, look_again_at = excluded.look_again_at,"
            "  last_received_at = excluded.last_received_at, state = excluded.state",
            [
                {
                    "environment": self.environment,
                    "fingerprint": state.fingerprint,
                    "status": state.status,
                    "incident_id": state.incident_id,
                    "look_again_at": look_again.get(state.fingerprint),
                    "last_received_at": state.last_received_at,
                    "state": state,
                }
                for state in states
            ],
        )

    def save_occurrences(self, states: Sequence[AlertState]) -> None:
        """Keep ended episodes for history."""
        bulk(
            self._connection,
            "INSERT INTO occurrences (environment, fingerprint, episode, incident_id, starts_at, ends_at, reports)"
            " SELECT * FROM jsonb_to_recordset(CAST(:rows AS jsonb)) AS r (environment text, fingerprint text,"
            "  episode int, incident_id uuid, starts_at timestamptz, ends_at timestamptz, reports int)",
            [
                {
                    "environment": self.environment,
                    "fingerprint": state.fingerprint,
                    "episode": state.episode,
                    "incident_id": state.incident_id,
                    "starts_at": state.starts_at,
                    "ends_at": state.ends_at,
                    "reports": state.reports,
                }
                for state in states
            ],
        )

    def open_incidents(self, opened: Sequence[Course]) -> None:
        """Insert new incidents; their numbers follow the order given."""
        for course in opened:
            run(
                self._connection,
                "INSERT INTO incidents (id, number, environment, state, opened_at, last_alert_at, attribute_due_at)"
                " VALUES (:id, nextval('incident_numbers'), :environment, 'open', :opened_at, :last, clock_timestamp())"
                " ON CONFLICT (id) DO NOTHING",
                id=course.id,
                environment=self.environment,
                opened_at=course.opened_at,
                last=course.last_alert_at,
            )

    def touch(self, courses: Sequence[Course], memories: Mapping[UUID, Memory], *, attribute: set[UUID]) -> None:
        """Write folded times and what grouping remembers back; the incidents in `attribute` are scored, again at most
        every RESCORE_S."""
        bulk(
            self._connection,
            "UPDATE incidents AS i SET last_alert_at = r.last_alert_at, reopened = r.reopened, state = r.state,"
            " resolved_at = r.resolved_at, grouping = coalesce(r.grouping, i.grouping),"
            " attribute_due_at = CASE WHEN NOT r.score THEN i.attribute_due_at"
            "  WHEN i.attribution IS NULL THEN clock_timestamp()"
            "  ELSE least(i.attribute_due_at, clock_timestamp() + make_interval(secs => r.pause)) END,"
            " attribute_round = CASE WHEN r.score THEN 0 ELSE i.attribute_round END"
            " FROM jsonb_to_recordset(CAST(:rows AS jsonb)) AS r (id uuid, last_alert_at timestamptz, reopened int,"
            " state text, resolved_at timestamptz, grouping jsonb, score boolean, pause float8) WHERE i.id = r.id",
            [
                {
                    "id": f.id,
                    "last_alert_at": f.last_alert_at,
                    "reopened": f.reopened,
                    "state": f.state,
                    "resolved_at": f.resolved_at,
                    "grouping": memories.get(f.id),
                    "score": f.id in attribute,
                    "pause": RESCORE_S,
                }
                for f in courses
            ],
        )

    def save_incidents(self, judged: Sequence[Judged], *, version: int) -> None:
        """Write all that was decided about these incidents."""
        bulk(
            self._connection,
            "UPDATE incidents AS i SET state = r.state, resolved_at = r.resolved_at, title = r.title,"
            " parent_id = r.parent_id, enrichment = r.enrichment, gate = r.gate, routing = r.routing,"
            " reassigned = r.reassigned, human_touched = r.human_touched, confirmed_change = r.confirmed_change,"
            " decide_again_at = r.decide_again_at, mapping_version = r.version, changed_at = clock_timestamp()"
            " FROM jsonb_to_recordset(CAST(:rows AS jsonb)) AS r (id uuid, state text, resolved_at timestamptz,"
            "  title text, parent_id uuid, enrichment jsonb, gate jsonb, routing jsonb, reassigned boolean,"
            "  human_touched boolean, confirmed_change text, decide_again_at timestamptz, version int)"
            " WHERE i.id = r.id",
            [
                {
                    "id": one.incident.id,
                    "state": one.incident.state,
                    "resolved_at": one.incident.resolved_at,
                    "title": one.title,
                    "parent_id": one.incident.parent_id,
                    "enrichment": one.incident.enrichment,
                    "gate": one.incident.gate,
                    "routing": one.incident.routing,
                    "reassigned": one.incident.reassigned,
                    "human_touched": one.incident.human_touched,
                    "confirmed_change": one.incident.confirmed_change,
                    "decide_again_at": one.again_at,
                    "version": version,
                }
                for one in judged
            ],
        )

    def audit(self, entries: Sequence[AuditEntry]) -> None:
        write_audit(self._connection, entries)

    @property
    def connection(self) -> Connection:
        return self._connection


@contextmanager
def deciding(database: Database, environment: str) -> Iterator[Decisions | None]:
    """The environment's decide transaction, or None when another worker holds it."""
    with database.transaction() as connection:
        held = connection.execute(
            text("SELECT pg_try_advisory_xact_lock(:lock, hashtext(:environment))"),
            {"lock": DECIDE_LOCK, "environment": environment},
        ).scalar_one()
        yield Decisions(connection, environment) if held else None


@lru_cache(maxsize=1024)
def _memory(text: str) -> Memory:
    """Of the 200 incidents that each batch recalls, few have grown since the last."""
    return MEMORY.validate_json(text)


def environments_due(database: Database) -> list[str]:
    """Environments with something to decide now."""
    with database.glance() as connection:
        found = rows(
            connection,
            "SELECT DISTINCT environment FROM signals"
            " UNION SELECT environment FROM incidents WHERE decide_again_at <= clock_timestamp()"
            " UNION SELECT environment FROM alerts WHERE look_again_at <= clock_timestamp()",
        )
    return sorted(row.environment for row in found)
