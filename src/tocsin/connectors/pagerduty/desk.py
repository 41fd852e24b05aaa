"""What do we write on an incident that can be seen? Notes, each once; and the priority, unless a person chose one."""

from __future__ import annotations

from dataclasses import dataclass

from tocsin.connectors._connector import marked, marker
from tocsin.connectors._http import Failure
from tocsin.connectors.pagerduty.config import Config
from tocsin.connectors.pagerduty.render import MAX_NOTE
from tocsin.connectors.pagerduty.rest import Incident, Rest
from tocsin.domain.record import Note, Task, Wanted

_PRIORITY = {(1, 1): 1, (1, 2): 2, (2, 1): 2, (1, 3): 3, (2, 2): 3, (3, 1): 3, (2, 3): 4, (3, 2): 4, (3, 3): 5}
"""(impact, urgency) → priority, as everywhere in the house (reference: vendors.md §3.2)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Annotated:
    """Notes that stand on the incident; and why the others do not."""

    told: tuple[Note, ...] = ()
    stopped: Failure | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Prioritised:
    """The priority that stands there by our hand ("": none was set by this call); what an operator should mend."""

    name: str = ""
    warning: str = ""
    stopped: Failure | None = None


def annotate(rest: Rest, incident: Incident, notes: tuple[Note, ...], *, look_first: bool) -> Annotated:
    """Add the notes in order. `look_first`: an earlier try may have added some; each is known by its marker."""
    there = ""
    if look_first:
        found = rest.notes(incident.id)
        if isinstance(found, Failure):
            return Annotated(stopped=found)
        there = "\n".join(found)
    for place, note in enumerate(notes):
        if marker(note) in there:
            continue
        answer = rest.annotate(incident.id, marked(note, MAX_NOTE))
        if isinstance(answer, Failure):
            return Annotated(told=notes[:place], stopped=answer)
    return Annotated(told=notes)


def prioritise(config: Config, rest: Rest, incident: Incident, wanted: Wanted, before: object) -> Prioritised:
    """Set the priority that impact and urgency ask for. `before` is what we set last: where the incident shows another
    one by now, a person has chosen it, and it stands."""
    name = config.priorities.get(_PRIORITY.get((wanted.impact, wanted.urgency), 0), "")
    if not name or name == before or (before is not None and incident.priority != before):
        return Prioritised()
    if incident.priority == name:
        return Prioritised(name=name)
    known = rest.priorities()
    if isinstance(known, Failure):
        return _not_set(name, known)
    if name not in known:
        return Prioritised(
            warning=f"priority {name!r} is not in PagerDuty; it has {', '.join(sorted(known)) or 'none'}"
        )
    written = rest.prioritise(incident.id, known[name])
    return _not_set(name, written) if isinstance(written, Failure) else Prioritised(name=name)


def _not_set(name: str, failure: Failure) -> Prioritised:
    """A refusal for good is told and forgotten; anything else stops the attempt."""
    if failure.result == "rejected":
        return Prioritised(warning=f"priority {name!r} was refused: {failure.detail}")
    return Prioritised(stopped=failure)


def astray(config: Config, task: Task) -> set[str]:
    """Routes on which earlier attempts may have paged without telling what came of it."""
    return {config.route(one.address.get("routing_key", "")) for one in task.tried if one.status == "open"}
