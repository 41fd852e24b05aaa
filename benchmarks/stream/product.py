"""The stream through the product's own decisions: deduplicate, fold, group, attribute, judge; only the store is ours.

What the pipeline does in its transactions happens here between two messages: what moved is judged, what is due by time
is judged at its time, what grew is scored, and groups are recalled from their memories.
"""

from __future__ import annotations

import time
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from heapq import heappop, heappush
from uuid import UUID

from benchmarks.attribution.product import START, Told, catalog_of, moment
from benchmarks.stream.world import OUTAGE, Sent, Stream
from tocsin.decide.attribute import attribute
from tocsin.decide.fold import GROUPS_SINCE, Fold
from tocsin.decide.group import Groups
from tocsin.decide.judge import is_news, judge
from tocsin.decide.merging import STAY, causes_of
from tocsin.decide.plan import Desk
from tocsin.decide.redact import Redactor
from tocsin.domain.alert import Alert, Resolves, Severity, Status, Symptom
from tocsin.domain.family import Kin
from tocsin.domain.incident import GateState, Incident, IncidentState, Memory
from tocsin.domain.policy import Policy, Rule, Want
from tocsin.domain.subject import Subject

DEDUP = timedelta(minutes=15)
"""These monitors never resolve: an alert ends 15 minutes after its last report."""
PERSISTENCE = timedelta(minutes=10)
POLICY = Policy(
    rules=(Rule(name="all", want=Want.PAGE),),
    persistence=dict.fromkeys(Symptom, PERSISTENCE),
    reopen_within=timedelta(hours=1),
)
"""Everything pages that lasts ten minutes or shows on two subjects (correlation.md §4). No fault of this world comes
back, so that an incident is over for good after an hour (the reference's TTL); the product's own default is a day."""
RECALL_EVERY_MIN = 10.0
LATER = timedelta(minutes=5)
"""After which scores are looked at again: changes stamped late are known then."""
DAY_AND_MORE = timedelta(hours=25)
"""The longest check looks at a day: what began an hour before it, or went on in it, may show in it (store/kin.py)."""
CHANGES_BACK, CLOCK_SKEW = timedelta(hours=72), timedelta(minutes=5)
NAMES = {"service": "HighErrorRate", "model": "PredictionDrift"}
SYMPTOMS = {"service": Symptom.ERRORS, "model": Symptom.PREDICTION_DRIFT}


@dataclass(slots=True)
class Answer:
    """What became of the stream."""

    group: dict[int, UUID] = field(default_factory=dict)
    """Alert of an outage → its incident, as its first message was placed."""
    part_of: dict[UUID, UUID] = field(default_factory=dict)
    """Incident → the one whose child it was last, unless they were parted because their causes differ."""
    pages: list[tuple[float, UUID]] = field(default_factory=list)
    of_outage: dict[UUID, set[int]] = field(default_factory=lambda: defaultdict(set))
    """Incident → alerts of outages in it."""
    opened: int = 0
    new: int = 0
    """Alerts after deduplication."""
    linking: list[float] = field(default_factory=list)
    """Seconds of every message that had to be placed."""

    def family(self, incident_id: UUID) -> UUID:
        """The incident, or the earliest one of whose family it is."""
        while incident_id in self.part_of:
            incident_id = self.part_of[incident_id]
        return incident_id


class Product:
    """One environment in memory."""

    def __init__(self, stream: Stream, *, causes: bool = True, windows: bool = True) -> None:
        self._stream, self._causes, self._windows = stream, causes, windows
        self._catalog = catalog_of(stream)
        self._told = Told(stream)
        self._made_at = [change.at for change in stream.changes]
        self._desk = Desk(
            installation_id=UUID(int=1), destinations={}, reopens={}, holds_ticket={}, catalog=self._catalog,
            redactor=Redactor(POLICY.redaction), public_url="http://tocsin", policy=POLICY,
        )  # fmt: skip
        self._fold = Fold(
            environment="production", installation_id=UUID(int=1), mapping_version=1, catalog=self._catalog,
            policy=POLICY, states={}, incidents={}, groups=Groups(self._catalog),
        )  # fmt: skip
        self._incidents: dict[UUID, Incident] = {}
        self._members: dict[UUID, set[str]] = defaultdict(set)
        self._judge_at: list[tuple[datetime, UUID]] = []
        self._score_at: list[tuple[datetime, UUID]] = []
        self._paged: set[UUID] = set()
        self._by_cause: dict[str, set[UUID]] = defaultdict(set)
        self._memories: dict[UUID, Memory] = {}
        self._known: set[UUID] = set()
        self._grown: set[UUID] = set()
        self._recalled = stream.begins
        self.answer = Answer()

    def run(self, sent: Iterable[Sent]) -> Answer:
        """Take all messages; returns the groups and pages."""
        for number, one in enumerate(sent):
            at = moment(one.at)
            self._wait_until(at)
            if one.at - self._recalled >= RECALL_EVERY_MIN:
                self._recalled = one.at
                self._recall(at)
            self._take(one, number, at)
        self._wait_until(moment(self._stream.ends) + timedelta(days=2))
        return self.answer

    def _take(self, one: Sent, number: int, at: datetime) -> None:
        alert = self._alert(one, at)
        before = self._fold.states.get(alert.fingerprint)
        if before is not None and before.incident_id is not None:
            self._know(before.incident_id)
        began = time.process_time()
        self._fold.take(alert, message_id=UUID(int=number + 1), seq=0, at=at)
        took = time.process_time() - began
        state = self._fold.states[alert.fingerprint]
        assert state.incident_id is not None
        if self._fold.joined:
            self.answer.linking.append(took)
            self.answer.new += 1
            if before is not None and before.incident_id is not None:
                self._members[before.incident_id].discard(alert.fingerprint)
            self._members[state.incident_id].add(alert.fingerprint)
        if one.alert >= 0 and one.alert not in self.answer.group:
            self.answer.group[one.alert] = state.incident_id
            self.answer.of_outage[state.incident_id].add(one.alert)
        self._settle(at)

    def _settle(self, now: datetime) -> None:
        """Judge what moved, score what grew, judge again what the score says anew."""
        fold = self._fold
        self.answer.opened += len(fold.opened)
        touched, joined = set(fold.touched), set(fold.joined)
        self._known |= joined
        self._grown |= joined
        for known in (fold.touched, fold.joined, fold.moved, fold.opened, fold.audit, fold.ended):
            known.clear()
        self._judge(touched, now)
        if self._causes:
            again = {incident_id for incident_id in sorted(joined) if self._score(incident_id, now)}
            for incident_id in sorted(joined):
                heappush(self._score_at, (now + LATER, incident_id))
            self._judge(again, now)

    def _wait_until(self, until: datetime) -> None:
        """What happens by time alone, each at its own moment."""
        while True:
            timers = self._fold.timers[:1] + self._judge_at[:1] + self._score_at[:1]
            due = min((timer[0] for timer in timers), default=until)
            if due >= until:
                return
            self._fold.wait_until(due)
            if self._fold.touched:
                self._settle(due)
            while self._judge_at and self._judge_at[0][0] <= due:
                self._judge({heappop(self._judge_at)[1]}, due)
            while self._score_at and self._score_at[0][0] <= due:
                incident_id = heappop(self._score_at)[1]
                if self._incidents[incident_id].state is IncidentState.OPEN and self._score(incident_id, due):
                    self._judge({incident_id}, due)

    def _judge(self, ids: set[UUID], now: datetime, asked: int = 0) -> None:
        again: set[UUID] = set()
        for incident_id in sorted(ids):
            incident = self._current(incident_id)
            if not incident.members:
                continue
            near = self._near(incident)
            judged = judge(incident, [], self._desk, POLICY, changes=(), similar=(), near=near, now=now)
            self._keep(judged.incident, now)
            if judged.again_at is not None:
                heappush(self._judge_at, (judged.again_at, incident_id))
            again |= judged.asked_again
        if again and asked < 3:
            self._judge(again, now, asked + 1)

    def _current(self, incident_id: UUID) -> Incident:
        course = self._fold.incidents[incident_id]
        members = tuple(self._fold.states[f] for f in sorted(self._members[incident_id]))
        known = self._incidents.get(incident_id)
        if known is None:
            known = Incident(
                id=incident_id, number=len(self._incidents) + 1, environment="production", state=course.state,
                opened_at=course.opened_at, members=members,
            )  # fmt: skip
        return replace(known, members=members, state=course.state, reopened=course.reopened)

    def _keep(self, incident: Incident, now: datetime) -> None:
        self._incidents[incident.id] = incident
        if incident.parent_id is not None:
            self.answer.part_of[incident.id] = incident.parent_id
        elif incident.state is IncidentState.OPEN and self._is_open(self.answer.part_of.get(incident.id)):
            del self.answer.part_of[incident.id]
        if incident.state is IncidentState.RESOLVED:
            self._paged.discard(incident.id)
            return
        assert incident.gate is not None
        assert incident.routing is not None
        pages = incident.gate.state is GateState.ACTIVE and incident.routing.want is Want.PAGE
        told = incident.parent_id in self._paged
        if pages and not told and incident.id not in self._paged:
            self._paged.add(incident.id)
            self.answer.pages.append(((now - START).total_seconds() / 60, incident.id))

    def _is_open(self, incident_id: UUID | None) -> bool:
        return incident_id is not None and self._fold.incidents[incident_id].state is IncidentState.OPEN

    def _score(self, incident_id: UUID, now: datetime) -> bool:
        incident = self._current(incident_id)
        if not incident.members:
            return False
        first_at = min(member.starts_at for member in incident.members)
        low = bisect_left(self._made_at, (first_at - CHANGES_BACK - START).total_seconds() / 60)
        high = bisect_left(self._made_at, (min(first_at + CLOCK_SKEW, now) - START).total_seconds() / 60)
        changes = [self._told.change(made) for made in self._stream.changes[low:high]]
        scored = attribute(incident, changes, self._catalog, now=now)
        news = is_news(incident.attribution, scored)
        for cause in causes_of(incident)[0]:
            self._by_cause[cause].discard(incident_id)
        known = self._incidents[incident_id] = replace(incident, attribution=scored)
        causes, probability = causes_of(known)
        for cause in causes if probability > STAY else ():
            self._by_cause[cause].add(incident_id)
        return news

    def _near(self, incident: Incident) -> list[Kin]:
        """As store/kin.py answers: open relatives, and open incidents that may have the same cause."""
        causes, probability = causes_of(incident)
        ids = {incident.parent_id} | {
            i for cause in (causes if probability > STAY else ()) for i in self._by_cause[cause]
        }
        ids |= {i for i, parent in self.answer.part_of.items() if parent == incident.id}
        found = [self._incidents[i] for i in ids - {None, incident.id} if i is not None]
        return [self._kin(kin) for kin in found if kin.state is IncidentState.OPEN]

    def _kin(self, incident: Incident) -> Kin:
        causes, probability = causes_of(incident)
        return Kin(
            id=incident.id, display=incident.display, title="", opened_at=incident.opened_at,
            parent_id=incident.parent_id, causes=causes, probability=probability,
        )  # fmt: skip

    def _recall(self, now: datetime) -> None:
        """A batch later: groups are what their memories hold."""
        fold = self._fold
        open_ids = [
            c.id for c in fold.incidents.values()
            if c.state is IncidentState.OPEN and now - c.last_alert_at < GROUPS_SINCE
        ]  # fmt: skip
        newest = sorted(open_ids, key=lambda i: fold.incidents[i].last_alert_at)[-200:]
        known = {*newest}
        if self._windows:
            known |= {
                c.id for c in fold.incidents.values()
                if now - max(c.last_alert_at, c.resolved_at or c.last_alert_at) < DAY_AND_MORE
            }  # fmt: skip
        self._memories |= {i: fold.groups.remember(i) for i in self._grown}
        self._grown.clear()
        fold.groups = Groups(self._catalog)
        self._known = set(newest)
        for incident_id in sorted(known):
            fold.groups.recall(self._memories[incident_id], aside=incident_id not in self._known)

    def _know(self, incident_id: UUID) -> None:
        """The incident of an alert that is told again is always recalled."""
        if incident_id in self._known:
            return
        self._known.add(incident_id)
        self._fold.groups.recall(self._memories[incident_id])
        if self._fold.incidents[incident_id].state is IncidentState.RESOLVED:
            self._fold.groups.close(incident_id)

    def _window(self, one: Sent) -> datetime | None:
        """Since when its check looked, where it looks at hours and tells."""
        if not (one.window and self._windows):
            return None
        fired = self._stream.symptoms[one.alert].at
        return moment((fired // one.window - 1) * one.window)

    def _alert(self, one: Sent, at: datetime) -> Alert:
        node = self._stream.nodes[one.node]
        ours = one.rule == OUTAGE
        return Alert(
            hook="h", source="s", environment="production",
            name=NAMES.get(node.kind, "CheckFailed") if ours else one.rule.capitalize(),
            subject=Subject(node.subject),
            symptom=SYMPTOMS.get(node.kind, Symptom.DATA_QUALITY) if ours else Symptom.SATURATION,
            severity=Severity.CRITICAL, status=Status.FIRING, summary="", received_at=at, starts_at=None,
            resolves=Resolves.EXPIRY, expires_after=DEDUP, window_starts_at=self._window(one),
        )  # fmt: skip
