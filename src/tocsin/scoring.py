"""Which change was it, as far as is known now? One incident scored: its changes, what was learned, the lineage that it
sees, the courses that were measured."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

from tocsin.bootstrap import App
from tocsin.decide.judge import is_news
from tocsin.decide.lineage import hour_of, seen_at
from tocsin.domain.catalog import Catalog
from tocsin.domain.change import Change
from tocsin.domain.incident import Incident
from tocsin.store import attribution

if TYPE_CHECKING:
    from tocsin.store.experience import Learned

CHANGES_BACK = timedelta(hours=72)
"""How far back a change may be a cause (correlation.md §2)."""
CLOCK_SKEW = timedelta(minutes=5)

_LEARNED: WeakKeyDictionary[App, Learned] = WeakKeyDictionary()


def learn_from(app: App, learned: Learned) -> None:
    """A replay has no past of its own: it is taught by the installation's."""
    _LEARNED[app] = learned


def _learned(app: App) -> Learned:
    from tocsin.store.experience import Learned  # noqa: PLC0415 numpy and scipy load only where scoring runs

    if app not in _LEARNED:
        _LEARNED[app] = Learned(app.database)
    return _LEARNED[app]


def score(app: App, due: attribution.Due, written: Catalog) -> bool:
    """Score one incident; True when its reader would learn something. Once a person has named the cause, the last score
    stands: it is what the scorer is judged by."""
    from tocsin.decide.guard import guarded  # noqa: PLC0415 as above
    from tocsin.decide.recurrence import asked, seen_before  # noqa: PLC0415

    incident = due.incident
    if incident.confirmed_change and incident.attribution is not None:
        attribution.stop(app.database, incident.id)
        return False
    changes = candidates(app, incident)
    learned, now = _learned(app), app.database.now()
    taught = learned.of(incident.environment, written)
    catalog = app.lineage.seen_by(incident, written)
    scored = guarded(
        incident,
        changes,
        catalog,
        now=now,
        experience=taught.experience,
        record=taught.record,
        series=due.series,
    )
    question = asked(incident, scored)
    if question.like:
        scored = seen_before(scored, question, learned.earlier(question, known_at=now))
    scored = replace(scored, lineage_at=hour_of(seen_at(incident)) if catalog.learned else None)
    news = is_news(incident.attribution, scored)
    return attribution.keep(app.database, due, scored, tell=news) and news


def candidates(app: App, incident: Incident) -> list[Change]:
    """The changes that may be its cause."""
    first_at = min(member.starts_at for member in incident.members)
    return attribution.candidates(app.database, incident.environment, first_at - CHANGES_BACK, first_at + CLOCK_SKEW)
