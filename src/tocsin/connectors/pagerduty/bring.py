"""Bring one page to its wanted state.

One record is one `dedup_key`. A trigger under an open key updates it, so a lost answer is sent again; after a resolve
the same key would page anew, so a re-opened record is refused here (GONE) and the pipeline starts the next generation.

The Events API answers before it works: a trigger still in its queue may be carried out behind our resolve. Therefore
every resolve is sent once more after REPEAT_AFTER, and with an API token what stands open even then is closed by REST.

When the owner changes, the new owner's key is triggered first and the old one resolved then: the right team is paged
once, and nobody keeps a page that is not theirs. The key is the same; PagerDuty tells them apart by integration.

What a record's `sent` holds: `event_action`, `routing_key` (its route) and `severity` as last accepted; `priority` and
`acknowledged` as we set them; `resolving`: route → when its resolve went out ("" = not yet), until that was repeated;
`resolve_repeated`; `looks` in vain; `moved_at`.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import timedelta

from tocsin.connectors._connector import cut, done, rejected
from tocsin.connectors._http import Failure, Http
from tocsin.connectors.pagerduty import desk
from tocsin.connectors.pagerduty.config import Config
from tocsin.connectors.pagerduty.events import Events, unlisted
from tocsin.connectors.pagerduty.later import LOOKS, REPEAT_AFTER, looks_made, repeat_in
from tocsin.connectors.pagerduty.render import Event, render, with_updates, worse
from tocsin.connectors.pagerduty.rest import Incident, Rest, moment, open_first
from tocsin.domain.record import Confirmation, Note, Outcome, Reason, Task


def bring(config: Config, task: Task, http: Http) -> Outcome:
    """Trigger, update, move, annotate or resolve one alert."""
    page = _Page(config, task, http)
    outcome = page.resolve() if task.wanted.status == "resolved" else page.trigger()
    if outcome.result == "retry" and page.unsure:
        return replace(outcome, result="ambiguous")  # an earlier try's notes may have arrived; nobody has looked yet
    return outcome


@dataclass(slots=True)
class _Page:
    """One attempt."""

    config: Config
    task: Task
    http: Http
    incident: Incident | None = None
    sent: dict[str, object] = field(default_factory=dict)
    resolving: dict[str, str] = field(default_factory=dict)
    told: list[Note] = field(default_factory=list)
    """Notes that have arrived."""
    details: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    left_out: tuple[str, ...] = ()
    blind: Failure | None = None
    """Why the incident could not be looked up."""
    unsure: bool = False
    """An earlier attempt's notes may have arrived."""
    astray: set[str] = field(default_factory=set)
    """Other routes, on which an attempt that never told may have paged."""

    def __post_init__(self) -> None:
        self.sent = dict(self.task.sent)
        kept = self.sent.pop("resolving", None)
        self.resolving = {str(k): str(v) for k, v in kept.items()} if isinstance(kept, dict) else {}
        self.unsure = bool(self.task.ambiguous_since and self.task.notes and self.rest.usable)
        self.astray = desk.astray(self.config, self.task) - {self.home}

    # -- what is known -------------------------------------------------------------------------------------------

    @property
    def rest(self) -> Rest:
        return Rest(self.config, self.http)

    @property
    def events(self) -> Events:
        return Events(self.config, self.http, self.task.now)

    @property
    def home(self) -> str:
        """The route on which the page is wanted; where its key is not configured, the page stays where it is."""
        wanted = self.config.route(self.task.wanted.address.get("routing_key", ""))
        return str(self.sent.get("routing_key", wanted)) if self.config.key(wanted) is None else wanted

    @property
    def known(self) -> bool:
        """Whether a trigger went out, or may have: also by an earlier attempt that died before it could tell."""
        task = self.task
        return bool(task.external_id or task.sent_wanted or task.ambiguous_since or task.attempts > 1)

    @property
    def ended(self) -> bool:
        """Our resolve was accepted."""
        return self.sent.get("event_action") == "resolve"

    @property
    def seen_open(self) -> bool:
        return self.incident is not None and self.incident.open

    @property
    def touched(self) -> bool:
        """A person took it, closed it before we did, or opened it again after."""
        shown = self.incident
        return shown is not None and (shown.status == "acknowledged" or shown.open == self.ended)

    def look(self) -> None:
        """Find the incident by its key, where a token allows; a failed look-up costs only what it would have told."""
        if not self.rest.usable:
            return
        found = self.rest.find(self.task.wanted.key)
        if isinstance(found, Failure):
            self.blind = found
            self.details.append(f"incident not looked up: {found.detail}")
            return
        moved = moment(self.sent.get("moved_at"))
        here = [one for one in found if moved is None or one.created_at is None or one.created_at >= moved or one.open]
        self.incident = open_first(here)
        if self.incident and not self.incident.ours:
            self.details.append(f"a person merged it into #{self.incident.number}")

    # -- open ----------------------------------------------------------------------------------------------------

    def trigger(self) -> Outcome:
        """Open it, or follow what changed: the event first, so that no failing REST call keeps a page waiting."""
        if self.config.key(self.home) is None:
            return rejected(Reason.CLIENT_ERROR, unlisted(self.task.wanted.address.get("routing_key", "")))
        if self.ended:
            return self.gone()
        if self.known:
            self.look()
        if self.incident and not self.incident.open and not self.astray:
            return rejected(Reason.GONE, "closed by a person or rule in PagerDuty", self.confirmation())
        event = render(self.config, self.task.wanted)
        lost = self.update(event) or self.leave() or self.take_on() or self.follow(event)
        if lost:
            return lost
        after = self.due() or self.look_again()
        return replace(done(self.confirmation(), detail=self.detail), after=after)

    def update(self, event: Event) -> Outcome | None:
        """Trigger: the first page, a new owner's, or another severity."""
        before, now = self.sent.get("routing_key"), str(event["payload"]["severity"])
        shown = str(self.sent.get("severity", ""))
        left = {route for route in (before, *self.astray) if isinstance(route, str) and route != self.home}
        at_once = self.sent.get("event_action") != "trigger" or bool(left) or worse(now, shown)
        # Where we cannot see that the page is open, a trigger may ring anew after a person closed it: then only for
        # what got worse.
        if not at_once and (now == shown or not (self.seen_open or self.config.notes_as_events)):
            return None
        if lost := self.enqueue(self.home, event, urgent=at_once):
            return lost
        if left:
            self.resolving |= dict.fromkeys(sorted(left - self.resolving.keys()), "")
            at = self.task.now if self.astray else self.task.ambiguous_since or self.task.now  # perhaps paged then
            self.sent |= {
                "moved_at": at.replace(microsecond=0).isoformat(),
                "looks": 0,
            }  # theirs are whole seconds
            self.incident = None
            self.details.append("moved to the routing key of the new owner")
        self.resolving.pop(self.home, None)
        self.sent |= {"event_action": "trigger", "routing_key": self.home, "severity": now}
        if self.incident is None:
            self.look()
        return None

    def take_on(self) -> Outcome | None:
        """A person took the incident on at another desk: nobody needs to be rung any more. Said once."""
        event = {"routing_key": self.home, "event_action": "acknowledge", "dedup_key": self.task.wanted.key}
        if not self.task.wanted.acknowledged_by or self.sent.get("acknowledged"):
            return None
        if not (lost := self.enqueue(self.home, event)):
            self.sent["acknowledged"] = True
        return lost

    def leave(self) -> Outcome | None:
        """Close the page where it no longer belongs: the new owner was paged first."""
        for route, at in list(self.resolving.items()):
            since = moment(at)
            if since is not None and self.task.now - since < REPEAT_AFTER:
                continue
            if self.config.key(route) is None:
                self.warnings.append(f"close the page {self.task.wanted.key} by hand: {unlisted(route)}")
                del self.resolving[route]
                continue
            event = {"routing_key": route, "event_action": "resolve", "dedup_key": self.task.wanted.key}
            if lost := self.enqueue(route, event):
                return lost
            if since is None:
                self.resolving[route] = self.task.now.isoformat()
            else:
                del self.resolving[route]
        return None

    def follow(self, event: Event) -> Outcome | None:
        """Notes and priority on the incident that can be seen; without one, what the Events API can do instead."""
        if self.incident and self.incident.ours:
            return self.annotate(event) or self.prioritise()
        if not self.task.notes:
            return None
        if self.seen_open or (self.config.notes_as_events and not self.rest.usable):
            return self.notes_by_event(event, self.task.notes)
        if self.blind and self.blind.result != "rejected":
            return self.ended_by(self.blind)
        if not self.rest.usable or self.blind:
            self.forgo("they need api_token, or notes_as_events")
        elif looks_made(self.sent) >= len(LOOKS):
            self.forgo("PagerDuty shows no incident for the event that it accepted")
        return None

    def annotate(self, event: Event | None) -> Outcome | None:
        """Add the notes that are not there yet; those that REST refuses go inside an event."""
        if not self.task.notes or self.incident is None:
            return None
        wrote = desk.annotate(self.rest, self.incident, self.task.notes, look_first=self.unsure)
        self.told += wrote.told
        if wrote.stopped is None:
            self.unsure = False
            return None
        if wrote.stopped.result != "rejected":
            return self.ended_by(wrote.stopped)
        self.details.append(f"notes refused: {wrote.stopped.detail}")
        return self.notes_by_event(event, self.task.notes[len(wrote.told) :])

    def notes_by_event(self, event: Event | None, notes: tuple[Note, ...]) -> Outcome | None:
        """Show notes among the details of the alert. Only where a trigger cannot ring anew."""
        if event is None:
            self.forgo("a resolve carries no text")
            return None
        lost = self.enqueue(self.home, with_updates(event, notes), urgent=False)
        if lost is None:
            self.told += notes
            self.sent["severity"] = event["payload"]["severity"]
        return lost

    def forgo(self, why: str) -> None:
        """Give the remaining notes up, and say so."""
        left = [note for note in self.task.notes if note not in self.told]
        if left:
            self.warnings.append(f"{len(left)} notes are not shown in PagerDuty: {why}")
            self.told += left

    def prioritise(self) -> Outcome | None:
        assert self.incident is not None
        wrote = desk.prioritise(self.config, self.rest, self.incident, self.task.wanted, self.sent.get("priority"))
        if wrote.name:
            self.sent["priority"] = wrote.name
            self.incident = replace(self.incident, priority=wrote.name)
        if wrote.warning:
            self.warnings.append(wrote.warning)
        return self.ended_by(wrote.stopped) if wrote.stopped else None

    # -- closed --------------------------------------------------------------------------------------------------

    def resolve(self) -> Outcome:
        """Close it wherever it may stand open. Nothing was ever sent: nothing to close (such a resolve is dropped)."""
        if not self.known:
            self.told = list(self.task.notes)
            self.sent |= {"event_action": "resolve", "routing_key": self.home, "resolve_repeated": True}
            return done(self.confirmation(), detail="never triggered; nothing to resolve")
        if self.ended:
            return self.resolved()
        if self.task.when_human_touched == "note_only":
            self.look()
            if self.touched:
                return self.left_to_a_person()
        there = (self.home, str(self.sent.get("routing_key", self.home)), *sorted(self.astray))
        self.resolving |= dict.fromkeys(there, "")
        lost = self.leave()
        if lost:
            return lost
        self.sent |= {"event_action": "resolve", "routing_key": self.home}
        self.sent.pop("severity", None)
        return self.resolved()

    def gone(self) -> Outcome:
        """The next generation pages; the repeat of our resolve is still owed to this one."""
        lost = self.repeat() if self.due() == timedelta(0) else None
        said = "closed: a trigger under a resolved key would page anew"
        return lost or replace(rejected(Reason.GONE, said, self.confirmation()), after=self.due())

    def left_to_a_person(self) -> Outcome:
        stop = self.annotate(None) if self.incident and self.incident.ours else None
        self.forgo("they need an incident of ours")
        return stop or done(self.confirmation(), detail="acknowledged by a person: left to them to resolve")

    def resolved(self) -> Outcome:
        """After the resolve: its notes, and the repeat when it is due."""
        lost = self.last_notes()
        if not lost and self.resolving and self.due() == timedelta(0):
            lost = self.repeat()
        if lost:
            return lost
        after = self.due()
        self.sent["resolve_repeated"] = after is None
        return replace(done(self.confirmation(), detail=self.detail), after=after)

    def last_notes(self) -> Outcome | None:
        if not self.task.notes:
            return None
        if self.incident is None:
            self.incident = self.seen_before()
        if self.incident is None:
            self.look()
        if self.incident and self.incident.ours:
            return self.annotate(None)
        if self.blind and self.blind.result != "rejected":
            return self.ended_by(self.blind)
        self.forgo("a resolve carries no text, and no incident can be seen")
        return None

    def seen_before(self) -> Incident | None:
        """The incident of ours that an earlier attempt saw: enough to write its last notes on, and one call less."""
        task, seen = self.task, str(self.task.observed.get("incident_id", ""))
        if not seen or not self.rest.usable:
            return None
        return Incident(id=seen, key=task.wanted.key, number=task.number, url=task.url, status="resolved")

    def repeat(self) -> Outcome | None:
        """The second resolve. A page that a person opened again stays open; any other that stands is closed by REST."""
        found = self.rest.find(self.task.wanted.key) if self.rest.usable else ()
        standing = [] if isinstance(found, Failure) else [one for one in found if one.open]
        first = min(filter(None, map(moment, self.resolving.values())), default=self.task.now)
        again = next((one for one in standing if one.opened_again(after=first)), None)
        if again:
            self.incident, self.resolving = again, {}
            self.details.append(f"opened again by {again.changed_by}: left open")
            return None
        lost = self.leave()
        if lost:
            return lost
        for one in standing:
            closed = self.rest.resolve(one.id) if one.ours and self.config.from_email else None
            if isinstance(closed, Failure) and closed.result != "rejected":
                return self.ended_by(closed)
            self.details.append(f"#{one.number} stood open after the resolve")
        return None

    # -- shared --------------------------------------------------------------------------------------------------

    def enqueue(self, route: str, event: Event, *, urgent: bool = True) -> Outcome | None:
        """Send one event; None when it was taken."""
        taken = self.events.send(route, event, urgent=urgent)
        if isinstance(taken, Failure):
            return replace(self.ended_by(taken), alone=taken.reason is Reason.RATE_LIMITED)
        if taken.left_out:
            self.left_out = taken.left_out
            self.details.append(f"sent without {', '.join(taken.left_out)} after {taken.words}")
        return None

    def ended_by(self, failure: Failure) -> Outcome:
        """The attempt's end, with what is known by now; nothing is known of a page whose first trigger is in doubt."""
        known = self.task.external_id or self.sent != self.task.sent or self.incident
        return failure.outcome(self.confirmation() if known else None)

    def due(self) -> timedelta | None:
        """Until the next resolve is to be repeated; None when none is."""
        return repeat_in(self.resolving, self.task.now)

    def look_again(self) -> timedelta | None:
        """When to look for the incident once more; None when it was found, cannot be seen, or was sought for long."""
        looks = looks_made(self.sent)
        if not self.rest.usable or self.incident is not None or (self.task.url and not self.task.notes):
            return None
        if looks >= len(LOOKS):
            said = "PagerDuty accepted the event but shows no incident: is the service disabled or in maintenance?"
            self.warnings += [] if self.blind else [said]
            return None
        self.sent["looks"] = looks + 1
        return LOOKS[looks]

    @property
    def detail(self) -> str:
        return cut("; ".join(self.details), 500)

    def confirmation(self) -> Confirmation:
        """What is known by now."""
        task, shown = self.task, self.incident
        observed = dict(task.observed)
        if shown:
            seen = shown.id if shown.ours else ""
            observed |= {"status": shown.status, "incident_id": seen, "priority": shown.priority}
        elif self.ended:
            observed["status"] = "resolved"
        return Confirmation(
            external_id=task.wanted.key,
            number=shown.number if shown else task.number,
            url=shown.url if shown else task.url,
            sent={**self.sent, **({"resolving": dict(self.resolving)} if self.resolving else {})},
            observed=observed,
            notes=tuple(note.id for note in self.told),
            dropped_fields=self.left_out,
            warnings=tuple(self.warnings),
            human_touched=self.touched,
            takes_notes=self.rest.usable or self.config.notes_as_events,
        )
