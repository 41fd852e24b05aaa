"""One line of a case file, as the domain's own values. The format is documented in docs/attribution.md.

Nothing later than `decide_at` is let through: what a file holds beyond it is as if it were not there.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from enum import StrEnum
from itertools import groupby
from operator import attrgetter
from pathlib import Path
from typing import Annotated, Any
from uuid import UUID

import orjson
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from tocsin.domain.alert import Alert, AlertState, Severity, Status, Symptom
from tocsin.domain.catalog import Catalog, Entry
from tocsin.domain.change import Change, ChangeKind, ChangeOutcome
from tocsin.domain.errors import BadSetting
from tocsin.domain.incident import Incident, IncidentState
from tocsin.domain.series import Series
from tocsin.domain.subject import KINDS, Subject


class _Lenient(BaseModel):
    """Other people's files carry more than we ask for, `null` for what they do not know, and numbers for versions."""

    model_config = ConfigDict(extra="ignore", frozen=True, coerce_numbers_to_str=True)

    @model_validator(mode="before")
    @classmethod
    def _without_nulls(cls, said: Any) -> Any:  # noqa: ANN401 of JSON
        return _told(said)


def _in_utc(at: datetime) -> datetime:
    return at.replace(tzinfo=UTC) if at.tzinfo is None else at


def _named(value: object) -> object:
    """A subject of a kind that we do not have, or without a name, keeps the whole of it."""
    kind, _, name = str(value).partition(":")
    return value if kind in KINDS and name.strip() else f"unknown:{value or '?'}"


def _or(kind: type[StrEnum], otherwise: StrEnum) -> BeforeValidator:
    """A word that we do not have counts as the plainest that we have: every case is answered."""
    known = {member.value for member in kind}
    return BeforeValidator(lambda value: value if str(value) in known else otherwise)


def _told(value: object) -> object:
    """What is `null` was not told."""
    return {name: said for name, said in value.items() if said is not None} if isinstance(value, dict) else value


def _measured(value: object) -> object:
    """Points without a value are gaps."""
    if not isinstance(value, list):
        return value
    return [one for one in value if not isinstance(one, list) or None not in one]


Moment = Annotated[datetime, AfterValidator(_in_utc)]
Name = Annotated[Subject, BeforeValidator(_named)]


class EntryLine(_Lenient):
    subject: Name
    depends_on: tuple[Name, ...] = ()
    monitored: bool = True
    learned: tuple[Name, ...] = ()
    """Of depends_on, what runs told and no mapping says."""
    mapped: bool = True
    """Has it an entry in the mappings?"""


class CatalogLine(_Lenient):
    entries: tuple[EntryLine, ...] = ()


class ChangeLine(_Lenient):
    id: Annotated[str, Field(min_length=1)]
    kind: Annotated[ChangeKind, _or(ChangeKind, ChangeKind.ENVIRONMENT_MODIFIED)] = ChangeKind.ENVIRONMENT_MODIFIED
    subject: Name
    occurred_at: Moment
    finished_at: Moment | None = None
    outcome: Annotated[ChangeOutcome, _or(ChangeOutcome, ChangeOutcome.UNKNOWN)] = ChangeOutcome.UNKNOWN
    version: str = ""
    previous_version: str = ""
    summary: str = ""
    touches: tuple[Name, ...] = ()
    labels: Annotated[dict[str, str], BeforeValidator(_told)] = {}


class AlertLine(_Lenient):
    name: str = "alert"
    subject: Name
    symptom: Annotated[Symptom, _or(Symptom, Symptom.AVAILABILITY)] = Symptom.AVAILABILITY
    severity: Annotated[Severity, _or(Severity, Severity.ERROR)] = Severity.ERROR
    starts_at: Moment
    window_starts_at: Moment | None = None
    ends_at: Moment | None = None
    fingerprint: str = ""
    model_version: str = ""


class SeriesLine(_Lenient):
    subject: Name
    metric: str = ""
    points: Annotated[tuple[tuple[Moment, float], ...], BeforeValidator(_measured)] = ()


class TruthLine(_Lenient):
    change: str | None = None


class CaseLine(_Lenient):
    id: str
    decide_at: Moment
    catalog: CatalogLine = CatalogLine()
    changes: tuple[ChangeLine, ...] = ()
    alerts: tuple[AlertLine, ...] = ()
    series: tuple[SeriesLine, ...] = ()
    truth: TruthLine | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One incident at its moment of decision. `cause`: the change's id, empty for none, None where nobody told."""

    id: str
    decide_at: datetime
    catalog: Catalog
    changes: tuple[Change, ...]
    members: tuple[AlertState, ...]
    series: tuple[Series, ...]
    cause: str | None

    @property
    def incident(self) -> Incident:
        """As the scorer wants it."""
        return Incident(
            id=UUID(int=0),
            number=0,
            environment=ENVIRONMENT,
            state=IncidentState.OPEN,
            opened_at=min(member.starts_at for member in self.members),
            members=self.members,
        )


ENVIRONMENT = "production"


def cases_of(path: Path) -> Iterator[Case]:
    """Every case of a file, in its order. Raises BadSetting with file, line and field for one that does not fit."""
    reader = Reader()
    try:
        with path.open("rb") as lines:
            for number, line in enumerate(lines, start=1):
                if line.strip():
                    yield reader.case(line, f"{path}:{number}")
    except OSError as error:
        raise BadSetting(f"{path}: cannot be read ({error.strerror})") from None


class Reader:
    """Reads lines. The cases of one file mostly share a catalogue: an equal one is made once, which changes no answer
    and saves its tables."""

    def __init__(self) -> None:
        self._catalogs: dict[bytes, Catalog] = {}

    def case(self, line: bytes, where: str) -> Case:
        """Raises BadSetting."""
        try:
            said = CaseLine.model_validate(orjson.loads(line))
        except orjson.JSONDecodeError as error:
            raise BadSetting(f"{where}: is not JSON: {error.msg}") from None
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            path = ".".join(str(step) for step in first["loc"])
            raise BadSetting(f"{where}: {path}: {first['msg']}") from None
        return Case(
            id=said.id,
            decide_at=said.decide_at,
            catalog=self._catalog(said.catalog),
            changes=tuple(_change(one, said.decide_at) for one in said.changes if one.occurred_at <= said.decide_at),
            members=tuple(_states(said)),
            series=tuple(_series(one, said.decide_at) for one in said.series),
            cause=None if said.truth is None else said.truth.change or "",
        )

    def _catalog(self, said: CatalogLine) -> Catalog:
        ordered = [_one_entry(list(same)) for _, same in groupby(sorted(said.entries, key=_subject), key=_subject)]
        entries = {
            one.subject: Entry(
                subject=one.subject,
                depends_on=tuple(sorted({*one.depends_on} - {*one.learned})),
                monitored=one.monitored,
            )
            for one in ordered
            if one.mapped
        }
        learned = {one.subject: tuple(sorted({*one.learned})) for one in ordered if one.learned}
        said_so = [[subject, entry.depends_on, entry.monitored] for subject, entry in entries.items()]
        told = [said_so, list(learned.items())]
        key = orjson.dumps(told, option=orjson.OPT_PASSTHROUGH_SUBCLASS, default=str)
        return self._catalogs.setdefault(key, Catalog(entries=entries, learned=learned))


_subject = attrgetter("subject")


def _one_entry(said: Sequence[EntryLine]) -> EntryLine:
    """What is listed more than once rests on all that any of its lines says."""
    return said[0].model_copy(
        update={
            "depends_on": tuple(up for one in said for up in one.depends_on),
            "learned": tuple(up for one in said for up in one.learned),
            "monitored": any(one.monitored for one in said),
            "mapped": any(one.mapped for one in said),
        }
    )


def _change(said: ChangeLine, decide_at: datetime) -> Change:
    later = said.finished_at is not None and said.finished_at > decide_at
    return Change(
        id=said.id,
        hook="case",
        source="case",
        environment=ENVIRONMENT,
        kind=said.kind,
        subject=said.subject,
        occurred_at=said.occurred_at,
        received_at=said.occurred_at,
        finished_at=None if later else said.finished_at,
        outcome=ChangeOutcome.UNKNOWN if later else said.outcome,
        version=said.version,
        previous_version=said.previous_version,
        summary=said.summary,
        touches=said.touches,
        labels=said.labels,
    )


def _states(said: CaseLine) -> Iterator[AlertState]:
    """The alerts that had begun, and had not yet ended unless they did by then; of one fingerprint the first."""
    found: dict[str, AlertState] = {}
    for one in sorted(said.alerts, key=_in_order):
        if one.starts_at > said.decide_at:
            continue
        alert = Alert(
            hook="case",
            source="case",
            environment=ENVIRONMENT,
            name=one.name,
            subject=one.subject,
            symptom=one.symptom,
            severity=one.severity,
            status=Status.FIRING,
            summary="",
            received_at=one.starts_at,
            starts_at=one.starts_at,
            window_starts_at=one.window_starts_at,
            model_version=one.model_version,
        )
        alert = replace(alert, fingerprint=one.fingerprint) if one.fingerprint else alert
        found.setdefault(alert.fingerprint, _state(alert, one.starts_at))
    yield from found.values()


def _in_order(one: AlertLine) -> tuple[object, ...]:
    since = one.window_starts_at or one.starts_at
    return one.starts_at, one.fingerprint, one.subject, one.name, one.symptom, one.severity, since, one.model_version


def _state(alert: Alert, at: datetime) -> AlertState:
    return AlertState(
        alert=alert, status=Status.FIRING, episode=1, starts_at=at, last_report_at=at, last_received_at=at
    )


def _series(said: SeriesLine, decide_at: datetime) -> Series:
    points = tuple(sorted((at, value) for at, value in said.points if at <= decide_at))
    return Series(subject=said.subject, metric=said.metric, points=points)


def line_of(case: dict[str, Any]) -> bytes:
    """One line of a case file."""
    options = orjson.OPT_APPEND_NEWLINE | orjson.OPT_PASSTHROUGH_SUBCLASS | orjson.OPT_UTC_Z
    return orjson.dumps(case, option=options, default=str)
