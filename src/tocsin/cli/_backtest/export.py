"""Past incidents as the lines of a case file, and whether a line answers as the incident was answered then."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tocsin.cli._backtest.cases import Case, Reader, line_of
from tocsin.decide.attribute import attribute
from tocsin.decide.candidates import SAME_WORK
from tocsin.decide.guard import COLD_MODEL
from tocsin.decide.runs import ROWS, SCHEMA
from tocsin.domain.alert import Status
from tocsin.domain.catalog import Catalog
from tocsin.domain.change import Change
from tocsin.domain.incident import NOT_AMONG_THEM
from tocsin.domain.series import Series
from tocsin.domain.subject import Subject
from tocsin.store.exporting import Member, Past

CLOSE = 1e-9


def line(past: Past, catalog: Catalog, clean: Callable[[str], str]) -> bytes:
    """The incident as one line: its alerts and changes by the catalogue's names, its texts redacted."""
    case: dict[str, Any] = {
        "id": str(past.id),
        "decide_at": past.attribution.scored_at,
        "catalog": {"entries": [_entry(subject, catalog) for subject in sorted({*catalog.entries, *catalog.learned})]},
        "changes": [_change(change, catalog, clean) for change in past.changes],
        "alerts": [_alert(member, catalog, clean) for member in past.members],
    }
    if past.series:
        case["series"] = [_series(one, catalog, clean) for one in past.series]
    if past.confirmed_change:
        cause = None if past.confirmed_change == NOT_AMONG_THEM else past.confirmed_change
        case["truth"] = {"change": cause}
    return line_of(case)


def _entry(subject: Subject, catalog: Catalog) -> dict[str, Any]:
    """With what runs told, among the rest and named apart; `mapped` is false for what no mapping has."""
    entry, learned = catalog.entries.get(subject), catalog.learned.get(subject, ())
    said: dict[str, Any] = {
        "subject": subject,
        "depends_on": catalog.needs(subject),
        "monitored": entry is not None and entry.monitored,
    }
    return said | ({"learned": learned} if learned else {}) | ({} if entry else {"mapped": False})


def _change(change: Change, catalog: Catalog, clean: Callable[[str], str]) -> dict[str, Any]:
    said: dict[str, Any] = {
        "id": change.id,
        "kind": change.kind,
        "subject": catalog.resolve(change.subject),
        "occurred_at": change.occurred_at,
        "finished_at": change.finished_at,
        "outcome": change.outcome,
        "version": clean(change.version),
        "previous_version": clean(change.previous_version),
        "summary": clean(change.summary),
        "touches": [catalog.resolve(subject) for subject in change.touches],
        "labels": {name: clean(change.labels[name]) for name in sorted(filter(_is_read, change.labels))},
    }
    always = ("id", "kind", "subject", "occurred_at", "outcome")
    return {name: value for name, value in said.items() if value or name in always}


def _alert(member: Member, catalog: Catalog, clean: Callable[[str], str]) -> dict[str, Any]:
    alert = member.state.alert
    said: dict[str, Any] = {
        "name": clean(alert.name),
        "subject": catalog.resolve(alert.subject),
        "symptom": alert.symptom,
        "severity": alert.severity,
        "starts_at": member.starts_at,
        "status": Status(member.status),
        "fingerprint": alert.fingerprint,
    }
    of_this_episode = member.state.starts_at == member.starts_at
    if of_this_episode and alert.window_starts_at is not None and alert.window_starts_at < member.starts_at:
        said["window_starts_at"] = alert.window_starts_at
    return said | ({"model_version": clean(alert.model_version)} if alert.model_version else {})


def _series(one: Series, catalog: Catalog, clean: Callable[[str], str]) -> dict[str, Any]:
    return {"subject": catalog.resolve(one.subject), "metric": clean(one.metric), "points": one.points}


def answers_as_then(past: Past, line: bytes, reader: Reader) -> bool | None:
    """Does the cold model find in this line what it found in the incident, each probability within 1e-9? None: what it
    found was not kept (an older release scored it)."""
    then = past.attribution.answers.get(COLD_MODEL)
    if then is None:
        return None
    case = reader.case(line, str(past.id))
    if not case.members:
        return False
    return _close(case, then.candidates, (*then.probabilities, then.no_change))


def _close(case: Case, candidates: tuple[tuple[str, ...], ...], probabilities: tuple[float, ...]) -> bool:
    found = attribute(case.incident, case.changes, case.catalog, now=case.decide_at, series=case.series)
    now = (*(one.probability for one in found.suspects), found.no_change)
    same = tuple((one.change.id, *one.members) for one in found.suspects) == candidates
    return same and all(abs(a - b) <= CLOSE for a, b in zip(now, probabilities, strict=True))


def _is_read(label: str) -> bool:
    """Whether a score may rest on this label; no others are given away."""
    return label in SAME_WORK or label.startswith((ROWS, SCHEMA))
